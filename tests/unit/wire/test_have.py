"""HAVE is read as quickly as a hostile one must be, and as strictly as bencode."""

import pytest

from p2psync import bencoding
from p2psync.errors import RemoteProtocolError
from p2psync.wire.have import parse_have
from p2psync.wire.limits import MAX_STRANGE_HAVE_BYTES
from p2psync.wire.messages import Have, encode_body

A, B, C = b"A" * 32, b"e" * 32, b"1:" * 16
EVERYTHING = Have([A], [B, C], [(A, b"e"), (C, b"\x00" * 300)], [B])
MANY = [bytes([octet]) * 32 for octet in range(256)]
BITS = [(page, b"\n" * (1 + 50 * at)) for at, page in enumerate(MANY)]


def body(have: Have) -> bytes:
    return b"".join(encode_body(have)[1])


@pytest.mark.parametrize(
    "have", [Have(), EVERYTHING, Have([A]), Have((), [A]), Have((), (), [(B, b"1")]), Have(gone=[C, A])]
)
def test_what_is_written_is_read(have):
    lists = parse_have(body(have))
    assert [list(field) for field in (have.complete, have.whole, have.partial, have.gone)] == list(lists)


def test_whatever_is_read_is_read_as_bencode_in_general_would():
    whole = body(EVERYTHING)
    for at in range(len(whole)):
        for octet in b"\x00de0:19l":
            changed = whole[:at] + bytes([octet]) + whole[at + 1 :]
            try:
                lists = parse_have(changed)
            except RemoteProtocolError:
                continue
            fields = bencoding.decode(changed)
            for key, ids in ((b"complete", lists.complete), (b"whole", lists.whole), (b"gone", lists.gone)):
                assert fields.get(key, b"") == b"".join(ids)
            assert fields.get(b"partial", []) == [list(pair) for pair in lists.partial]


@pytest.mark.parametrize(
    "broken",
    [
        b"", b"d", b"e", b"de ", b"l8:completee", b"d8:complete", b"d8:complete31:" + b"x" * 31 + b"e",
        b"d8:complete032:" + A + b"e", b"d8:complete64:" + A + b"e", b"d5:whole0:4:gone0:e", b"d4:gone0:4:gone0:e",
        b"d7:partialll32:" + A + b"0:eee", b"d7:partialll32:" + A + b"1:xee", b"d7:partialle", b"d7:partiali1ee",
        b"d7:partialll31:" + A[1:] + b"1:xeee", b"d5:whole32:" + A, b"d5:whole32:" + A + b"ee",
        b"d5:whole9999999:e",
    ],
)  # fmt: skip
def test_what_is_broken_is_refused(broken):
    with pytest.raises(RemoteProtocolError):
        parse_have(broken)


def test_keys_of_a_later_version_are_ignored_where_they_are_few():
    known = {b"whole": A, b"later": [1, [b"x", {}]]}
    assert parse_have(bencoding.encode(known)).whole == [A]


@pytest.mark.parametrize(
    "have", [Have(MANY), Have((), MANY), Have((), (), BITS), Have(gone=MANY), Have(*[MANY] * 2, BITS, MANY)]
)
def test_of_what_this_version_says_any_amount_is_read(have):
    assert parse_have(body(have)) == (list(have.complete), list(have.whole), list(have.partial), list(have.gone))


def test_lists_that_are_empty_are_lists_too():
    lists = parse_have(b"d8:complete0:4:gone0:7:partialle5:whole8192:" + b"".join(MANY) + b"e")
    assert lists == ([], MANY, [], [])


@pytest.mark.parametrize("octets", [b"le", b"0:", b"i1e"])
def test_what_takes_long_to_read_is_refused_unread(octets):
    with pytest.raises(RemoteProtocolError, match="this version"):
        parse_have(b"d5:laterl" + octets * MAX_STRANGE_HAVE_BYTES + b"ee")
