"""The folders that are measured with, made once in the scratch folder and kept."""

import os
import random
import shutil
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.report import Settings

BIG_BYTES = 2 << 30
TREE_FILES = 55_489
TEXT_FILES = 6_000
MILLION = 1_000_000
FILES_A_DIRECTORY = 1_000
PIECE_BYTES = 1 << 24
STATE_FOLDERS = (".p2psync", ".stfolder")


def big_folder(settings: Settings) -> Path:
    """A folder with one file of 2 GiB of random bytes."""
    size_bytes = int(BIG_BYTES * settings.scale)
    return _made_once(settings.data / f"big-{size_bytes}", lambda place: _fill_big(place, size_bytes))


def tree_folder(settings: Settings) -> Path:
    """A folder with 55,489 files of this machine: Python's library, documentation, and more until they are enough."""
    files = int(TREE_FILES * settings.scale)
    return _made_once(settings.data / f"tree-{files}", lambda place: _fill_tree(place, files))


def million_folder(settings: Settings) -> Path:
    """A folder with a million files of 20 to 200 bytes, a thousand a directory; one in ten is one of fifty contents."""
    files = int(MILLION * settings.scale)
    return _made_once(settings.data / f"million-{files}", lambda place: _fill_million(place, files))


def text_folder(settings: Settings) -> Path:
    """A folder with this machine's Python sources and C headers, some 75 MB."""
    return _made_once(settings.data / "text", _fill_text)


def small_folder(settings: Settings) -> Path:
    """A folder with ten files of 1 KB."""
    return _made_once(settings.data / "small", _fill_small)


def forget_state(folder: Path) -> None:
    """Take away what a program has remembered in a folder, so that the next one begins anew."""
    for name in STATE_FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)


def empty_folder(settings: Settings, name: str = "target") -> Path:
    """An empty folder to receive into, whatever was there before."""
    place = settings.data / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    return place


def count_files(folder: Path) -> dict[str, float]:
    """Return how many files there are, and of how many bytes."""
    sizes = [path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return {"files": len(sizes), "source_bytes": sum(sizes)}


def _made_once(place: Path, fill: Callable[[Path], None]) -> Path:
    if not place.exists():
        unfinished = place.with_name(place.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        fill(unfinished)
        unfinished.rename(place)
    forget_state(place)
    return place


def _fill_big(place: Path, size_bytes: int) -> None:
    rng = random.Random(1)
    with (place / "big.bin").open("wb") as file:
        for start in range(0, size_bytes, PIECE_BYTES):
            file.write(rng.randbytes(min(PIECE_BYTES, size_bytes - start)))


def _fill_small(place: Path) -> None:
    rng = random.Random(1)
    for number in range(10):
        (place / f"file {number}").write_bytes(rng.randbytes(1000))


def _fill_million(place: Path, files: int) -> None:
    rng = random.Random(1)
    contents = [rng.randbytes(rng.randrange(20, 201)) for _ in range(50)]
    for number in range(files):
        folder = place / f"{number // FILES_A_DIRECTORY:03}"
        if number % FILES_A_DIRECTORY == 0:
            folder.mkdir()
        data = rng.choice(contents) if number % 10 == 0 else rng.randbytes(rng.randrange(20, 201))
        (folder / f"file-{number:06}.txt").write_bytes(data)


def _fill_tree(place: Path, files: int) -> None:
    left = files
    for source in _tree_sources():
        for path in _regular_files(source):
            if left == 0:
                return
            target = place / path.relative_to("/")
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target)
                left -= 1


def _fill_text(place: Path) -> None:
    left = TEXT_FILES
    for source in (Path(sysconfig.get_path("stdlib")), Path("/usr/include")):
        for path in _regular_files(source):
            if left and path.suffix in (".py", ".h"):
                target = place / path.relative_to("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target)
                left -= 1


def _tree_sources() -> list[Path]:
    return [
        Path(sysconfig.get_path("stdlib")),
        *map(Path, ("/usr/share/doc", "/usr/share", "/usr/include", "/usr/lib")),
    ]


def _regular_files(source: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(source):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink() and os.access(path, os.R_OK):
                yield path
