"""A writer that signs what is no manifest: nothing comes of it, and a sentence says so."""

import struct
from contextlib import ExitStack

import bencodepy
import pytest

from p2psync.keys import keys_from_seed, make_seed
from p2psync.manifest.entry import Entry, Kind
from p2psync.manifest.page import encode_page
from tests.e2e.compare import snapshot
from tests.e2e.program import get
from tests.hostile.forgery import (
    code_for,
    directory,
    file,
    forge,
    forge_pages,
    forge_root,
    honest,
    id_of,
    symlink,
)
from tests.hostile.harm import FALSE, Surroundings, assert_gave_up
from tests.hostile.raw_link import RawListener

KEYS = keys_from_seed(make_seed())
GOOD = [file(b"a", FALSE + b"a"), directory(b"d"), file(b"d/f", FALSE, FALSE + b"!"), symlink(b"l", b"a")]


def records(*made):
    return sorted((one.entry for one in made), key=lambda entry: entry.key)


def contents(*made):
    return {id_of(content): content for one in made for content in one.contents}


def with_page(data):
    """Sign a folder of one page, these bytes."""
    return forge_pages(KEYS, [(records(*GOOD)[0].key, data)], contents(*GOOD))


def with_column(**columns):
    """Sign a page of which some columns were replaced."""
    fields = bencodepy.decode(encode_page(records(*GOOD)))
    return with_page(bencodepy.encode(fields | {key.encode(): value for key, value in columns.items()}))


def with_entries(*entries):
    """Sign a page of entries in this order."""
    return with_page(encode_page(list(entries)))


def with_root(**changes):
    version = forge(KEYS, GOOD)
    fields = bencodepy.decode(version.blocks[version.root])
    data = bencodepy.encode(fields | {key.encode(): value for key, value in changes.items()})
    return forge_root(KEYS, data, version.blocks)


def with_pages(*runs):
    """Sign a folder of several pages, each with the first key of its first entry."""
    pages = [(run[0].entry.key, encode_page([one.entry for one in run])) for run in runs]
    return forge_pages(KEYS, pages, contents(*(one for run in runs for one in run)))


A, B, C, D = (file(name, FALSE + name) for name in (b"a", b"b", b"c", b"d"))
CONTINUATION = Entry(b"", b"a", Kind.CONTINUATION, ids=id_of(FALSE), lengths=struct.pack(">I", len(FALSE)))

MANIFESTS = {
    "root: garbage": forge_root(KEYS, FALSE, {}),
    "root: another codec": with_root(codec=b"sealed"),
    "root: a page without a first key": with_root(first=[]),
    "root: its page is a file's block": forge_pages(KEYS, [(b"\0a", FALSE)], {}),
    "page: keys not sorted": with_page(b"d" + b"4:cuts1:\0" + b"3:ids0:" + b"6:counts4:\0\0\0\0" + b"e"),
    "page: a kind that does not exist": with_column(kinds=b"\x09\x01\x00\x02"),
    "page: permissions beyond 0777": with_column(modes=struct.pack(">4H", 0o644, 0o755, 0o6755, 0)),
    "page: a block of 4 GiB": with_column(lengths=struct.pack(">3I", 1 << 31, 30, 31)),
    "page: a name with a NUL": with_entries(file(b"a\0b", FALSE).entry),
    "page: a directory with a NUL": with_entries(file(b"a\0b/c", FALSE).entry),
    "page: entries out of order": with_entries(B.entry, A.entry),
    "page: a link to nowhere": with_entries(symlink(b"a", b"").entry),
    "page: a continuation of nothing": with_entries(CONTINUATION),
    "pages: not in order": with_pages([A, D], [B, C]),
    "pages: one of them twice": with_pages([A, B], [A, B]),
}


@pytest.fixture(scope="module")
def offered(tmp_path_factory):
    """For each manifest a `get` to which an honest reader serves it; all run at the same time."""
    with ExitStack() as stack:
        running = {}
        for name, version in MANIFESTS.items():
            place = Surroundings(tmp_path_factory.mktemp("writer"))
            peer = stack.enter_context(RawListener(KEYS, honest(version)))
            getter = stack.enter_context(get(code_for(KEYS), place.target, "--peer", peer.address, "--timeout", "30"))
            running[name] = (getter, place)
        yield running


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_a_signed_manifest_that_breaks_a_rule_is_refused_in_a_sentence(offered, manifest):
    getter, place = offered[manifest]
    sentence = assert_gave_up(getter, 4, within_s=60)
    assert "ask whoever shares the folder" in sentence or "update p2psync" in sentence
    assert snapshot(place.check_outside().target) == {}


FALSE_LENGTHS = {
    "a length that is too small": forge(KEYS, [file(b"a", FALSE, FALSE + b"!", lengths=struct.pack(">2I", 1, 1))]),
    "a length that is too large": forge(KEYS, [file(b"a", FALSE, FALSE + b"!", lengths=struct.pack(">2I", 99, 99))]),
    "a length that is too small, alone": forge(KEYS, [file(b"a", FALSE, lengths=struct.pack(">I", 1))]),
    "two lengths for one block": forge(
        KEYS, [file(b"b", FALSE, lengths=struct.pack(">I", 4 << 20)), file(b"c", FALSE)]
    ),
}


@pytest.mark.parametrize("version", FALSE_LENGTHS.values(), ids=FALSE_LENGTHS)
def test_a_file_whose_blocks_are_not_as_long_as_signed_is_refused_and_the_rest_arrives(version, tmp_path):
    place = Surroundings(tmp_path)
    with (
        RawListener(KEYS, honest(version)) as peer,
        get(code_for(KEYS), place.target, "--peer", peer.address, "--timeout", "30") as getter,
    ):
        sentence = assert_gave_up(getter, 5, within_s=60)
    assert "1 path could not be made here" in sentence
    assert set(snapshot(place.check_outside().target)) <= {b"c"}
