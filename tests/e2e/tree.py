"""Folders to share: files of seeded random bytes, and one with names, kinds and metadata of every sort."""

import os
import random
import socket
import unicodedata
from pathlib import Path

NAMES = (
    "two words",
    " leading and trailing ",
    "line\nbreak",
    "tab\there",
    "carriage\rreturn",
    "bell\x07",
    "single'quote",
    'double"quote',
    "back\\slash",
    "trailing.",
    "a:b",
    "*?[glob]",
    "$HOME",
    "%41%2f",
    "~",
    "...",
    "-rf",
    "--help",
    "CON",
    "Readme",
    "README",
    ".hidden",
    "räksmörgås 动作 🎈",
    unicodedata.normalize("NFC", "Ångström"),
    unicodedata.normalize("NFD", "Ångström"),
    "n" * 255,
    "动" * 85,
)
NOT_UTF_8 = (b"latin-1 \xe5\xe4\xf6", b"\xff\xfe\xfd", b"cut short \xf0\x9f\x8e")
DEPTH = 60
# 1921 and 2261: outside 32 bits of seconds on both sides, inside 64 bits of nanoseconds.
MTIMES_NS = (-1_535_000_000_123_456_789, 0, 1, 1_700_000_000_999_999_999, 9_183_110_400_000_000_001)
SPARSE_BYTES = 8 << 20


def make_strange_tree(root: Path) -> None:
    """Fill the new folder `root` with one of everything that a user's folder may hold and a receiver must match."""
    root.mkdir()
    base = os.fsencode(root)
    for kind in (_add_names, _add_depth, _add_empty, _add_links, _add_contents, _add_times, _add_modes):
        place = os.path.join(base, kind.__name__.removeprefix("_add_").encode())
        os.mkdir(place)
        kind(place)


def make_specials(root: Path) -> None:
    """Put a FIFO and a socket into `root`: what is reported and left out."""
    os.mkfifo(root / "a fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # A socket's address is at most 108 bytes, a test's folder name may be longer.
            listener.bind(f"/proc/self/fd/{folder}/a socket")
        finally:
            os.close(folder)


def make_random_file(path: Path, size_bytes: int, *, seed: int) -> None:
    """Write the same random bytes for the same seed, and make the folders above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    with path.open("wb") as file:
        for start in range(0, size_bytes, 1 << 24):
            file.write(rng.randbytes(min(1 << 24, size_bytes - start)))


def make_random_tree(root: Path, files: int, *, seed: int, largest_bytes: int = 20_000) -> None:
    """Fill the new folder `root` with small random files in folders of about thirty."""
    rng = random.Random(seed)
    root.mkdir()
    for number in range(files):
        path = root / f"folder {number // 30}" / f"file {number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(rng.randbytes(rng.randrange(1, largest_bytes)))


def size_bytes(root: Path) -> int:
    """Add up the sizes of the files below `root`, its `.p2psync` aside."""
    files = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.lstat().st_size for path in files if path.relative_to(root).parts[0] != ".p2psync")


def _write(path: bytes, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)


def _add_names(place: bytes) -> None:
    for name in (*(name.encode() for name in NAMES), *NOT_UTF_8):
        _write(os.path.join(place, name), b"the file called " + name)
    folders = os.path.join(place, b"as folders")
    os.mkdir(folders)
    for name in (*(name.encode() for name in NAMES), *NOT_UTF_8):
        os.mkdir(os.path.join(folders, name))
        _write(os.path.join(folders, name, name), b"inside " + name)


def _add_depth(place: bytes) -> None:
    for level in range(DEPTH):
        place = os.path.join(place, b"level %d" % level)
        os.mkdir(place)
        _write(os.path.join(place, b"file"), b"at level %d" % level)


def _add_empty(place: bytes) -> None:
    _write(os.path.join(place, b"file"), b"")
    os.makedirs(os.path.join(place, b"folder/in/folder"))
    os.mkdir(os.path.join(place, b".hidden folder"))


def _add_links(place: bytes) -> None:
    _write(os.path.join(place, b"file"), b"pointed at")
    os.mkdir(os.path.join(place, b"folder"))
    for name, target in (
        (b"absolute", b"/etc/hostname"),
        (b"relative", b"folder/../file"),
        (b"upwards", b"../names/Readme"),
        (b"outside", b"../../.."),
        (b"to a folder", b"folder"),
        (b"dangling", b"nothing here"),
        (b"loop", b"loop"),
        (b"strange target", b"\xff\n\xfe " + "räksmörgås 🎈".encode()),
        (b"long target", b"x/" * 2000),
    ):
        os.symlink(target, os.path.join(place, name))
    os.link(os.path.join(place, b"file"), os.path.join(place, b"hard link"))


def _add_contents(place: bytes) -> None:
    content = random.Random(1).randbytes(300_000)
    _write(os.path.join(place, b"original"), content)
    _write(os.path.join(place, b"duplicate"), content)
    _write(os.path.join(place, b"with one byte in front"), b"!" + content)
    _write(os.path.join(place, b"one byte"), b"\0")
    _write(os.path.join(place, b"zeros"), bytes(1 << 20))
    with open(os.path.join(place, b"sparse"), "xb") as file:
        file.seek(SPARSE_BYTES // 2)
        file.write(b"in the middle")
        file.truncate(SPARSE_BYTES)


def _add_times(place: bytes) -> None:
    for number, mtime_ns in enumerate(MTIMES_NS):
        path = os.path.join(place, b"%d" % number)
        _write(path, b"written at %d" % mtime_ns)
        os.utime(path, ns=(mtime_ns, mtime_ns))
    link = os.path.join(place, b"link")
    os.symlink(b"0", link)
    os.utime(link, ns=(MTIMES_NS[3], MTIMES_NS[3]), follow_symlinks=False)


def _add_modes(place: bytes) -> None:
    for mode in (0o400, 0o444, 0o600, 0o640, 0o664, 0o755, 0o711, 0o777):
        path = os.path.join(place, b"%o" % mode)
        _write(path, b"mode %o" % mode)
        os.chmod(path, mode)
    for mode in (0o555, 0o500, 0o700, 0o775):
        folder = os.path.join(place, b"folder %o" % mode)
        os.mkdir(folder)
        _write(os.path.join(folder, b"inside"), b"a file in a folder of mode %o" % mode)
        os.chmod(folder, mode)
