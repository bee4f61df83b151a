from dataclasses import replace

import pytest

from p2psync import bencoding
from p2psync.errors import IntegrityError, RemoteProtocolError
from p2psync.ids import BlockId, DeviceId, FolderId
from p2psync.keys import Role, keys_from_seed
from p2psync.manifest.head import MAX_HEAD_BYTES, Head, Standing

KEYS = keys_from_seed(bytes(range(32)))
OTHER_KEYS = keys_from_seed(bytes(32))
HEAD = Head(
    folder=KEYS.folder,
    device=DeviceId(b"D" * 32),
    seq=7,
    root=BlockId(b"R" * 32),
    version={b"D" * 8: 7},
    previous=b"P" * 32,
    time_ns=1_700_000_000_000_000_000,
)
BODY = bencoding.decode(bencoding.decode(HEAD.signed(KEYS))[b"head"])


def sealed(body: bytes, *, context: bytes = b"p2psync head\0", keys=KEYS) -> bytes:
    """A head around any body, with the signature that belongs to it."""
    return bencoding.encode({b"head": body, b"sig": keys.sign(context + body)})


def with_field(key: str, value: object) -> bytes:
    return sealed(bencoding.encode(BODY | {key.encode(): value}))


@pytest.mark.parametrize("role", Role)
def test_every_member_reads_a_head_as_it_was_written(role):
    signed = HEAD.signed(KEYS)
    assert Head.parse_untrusted(signed, KEYS.limited_to(role)) == HEAD
    assert Head.parse_untrusted(signed, KEYS).signed(KEYS) == signed


def test_a_head_signed_with_another_key_is_refused():
    with pytest.raises(IntegrityError):
        Head.parse_untrusted(HEAD.signed(OTHER_KEYS), KEYS)


def test_a_head_of_another_folder_is_refused_even_if_our_key_signed_it():
    with pytest.raises(IntegrityError, match="another folder"):
        Head.parse_untrusted(replace(HEAD, folder=OTHER_KEYS.folder).signed(KEYS), KEYS)


@pytest.mark.parametrize("context", [b"", b"p2psync head", b"p2psync tail\0"])
def test_a_signature_made_for_anything_else_is_refused(context):
    body = bencoding.encode(BODY)
    assert Head.parse_untrusted(sealed(body), KEYS) == HEAD
    with pytest.raises(IntegrityError):
        Head.parse_untrusted(sealed(body, context=context), KEYS)


def test_every_flipped_bit_is_refused():
    signed = HEAD.signed(KEYS)
    for at in range(len(signed)):
        broken = bytearray(signed)
        broken[at] ^= 1 << (at % 8)
        with pytest.raises((IntegrityError, RemoteProtocolError)):
            Head.parse_untrusted(bytes(broken), KEYS)


def test_every_truncation_is_refused():
    signed = HEAD.signed(KEYS)
    for end in range(len(signed)):
        with pytest.raises(RemoteProtocolError):
            Head.parse_untrusted(signed[:end], KEYS)


def test_a_head_that_is_too_large_is_refused_before_it_is_read():
    version = {n.to_bytes(8, "big"): 1 for n in range(MAX_HEAD_BYTES // 16)}
    signed = replace(HEAD, version=version).signed(KEYS)
    assert len(signed) > MAX_HEAD_BYTES
    with pytest.raises(RemoteProtocolError, match="limit"):
        Head.parse_untrusted(signed, KEYS)


def test_a_head_of_four_thousand_devices_fits():
    head = replace(HEAD, version={n.to_bytes(8, "big"): 1 for n in range(4000)})
    assert Head.parse_untrusted(head.signed(KEYS), KEYS) == head


def test_a_signed_body_that_is_not_canonical_is_refused():
    body = bencoding.encode(BODY)
    assert body.startswith(b"d6:device")
    unsorted = b"d" + body[body.index(b"6:folder") : -1] + body[1 : body.index(b"6:folder")] + b"e"
    assert bencoding.decode(unsorted, canonical=False) == BODY
    for spelling in [unsorted, body + b"\0", body.replace(b"3:seqi7e", b"3:seqi+7e")]:
        with pytest.raises(RemoteProtocolError):
            Head.parse_untrusted(sealed(spelling), KEYS)


@pytest.mark.parametrize("data", [b"", b"le", b"de", b"i0e", b"d4:head1:ae", b"d3:sig64:" + b"s" * 64 + b"e"])
def test_what_is_no_head_is_refused(data):
    with pytest.raises(RemoteProtocolError):
        Head.parse_untrusted(data, KEYS)


def test_a_signature_of_another_length_is_refused():
    body = bencoding.encode(BODY)
    for signature in [b"", KEYS.sign(b"p2psync head\0" + body) + b"\0"]:
        with pytest.raises(RemoteProtocolError, match="sig"):
            Head.parse_untrusted(bencoding.encode({b"head": body, b"sig": signature}), KEYS)


def test_a_field_around_the_body_that_nobody_signed_is_refused():
    envelope = bencoding.decode(HEAD.signed(KEYS)) | {b"more": 1}
    with pytest.raises(RemoteProtocolError, match="more"):
        Head.parse_untrusted(bencoding.encode(envelope), KEYS)


@pytest.mark.parametrize("body", [b"le", b"i1e", b"de"])
def test_a_signed_body_that_is_no_head_is_refused(body):
    with pytest.raises(RemoteProtocolError):
        Head.parse_untrusted(sealed(body), KEYS)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", 0),
        ("format", 3),
        ("format", b"1"),
        ("seq", 0),
        ("seq", -1),
        ("seq", 2**63),
        ("seq", b"7"),
        ("time", -1),
        ("time", 2**63),
        ("device", b"D" * 31),
        ("device", b"D" * 33),
        ("device", b""),
        ("folder", KEYS.folder[:31]),
        ("folder", 1),
        ("root", b"R" * 31),
        ("root", b"R" * 64),
        ("root", []),
        ("previous", b""),
        ("previous", b"P" * 33),
        ("version", b"D" * 15),
        ("version", b"D" * 8 + bytes(8)),
        ("version", (b"D" * 8 + b"\0" * 7 + b"\1") * 2),
        ("version", {}),
        ("unknown", 1),
    ],
)
def test_a_signed_field_that_breaks_its_rule_is_refused(field, value):
    with pytest.raises(RemoteProtocolError, match=field):
        Head.parse_untrusted(with_field(field, value), KEYS)


@pytest.mark.parametrize("field", sorted(key.decode() for key in BODY))
def test_a_field_that_is_missing_is_refused(field):
    body = {key: value for key, value in BODY.items() if key != field.encode()}
    with pytest.raises(RemoteProtocolError, match=field):
        Head.parse_untrusted(sealed(bencoding.encode(body)), KEYS)


@pytest.mark.parametrize(
    ("theirs", "standing"),
    [
        ((7, b"R" * 32), Standing.SAME),
        ((8, b"A" * 32), Standing.NEWER),
        ((6, b"Z" * 32), Standing.OLDER),
        ((7, b"S" * 32), Standing.NEWER),
        ((7, b"Q" * 32), Standing.OLDER),
    ],
)
def test_heads_are_ordered_by_sequence_number_then_root(theirs, standing):
    seq, root = theirs
    assert replace(HEAD, seq=seq, root=BlockId(root)).standing_against(HEAD) is standing


def test_any_head_is_newer_than_none():
    assert HEAD.standing_against(None) is Standing.NEWER


def test_neither_time_nor_device_makes_a_head_newer():
    later = replace(HEAD, time_ns=HEAD.time_ns + 1, device=DeviceId(b"Z" * 32), folder=FolderId(KEYS.folder))
    assert later.standing_against(HEAD) is Standing.SAME


@pytest.mark.parametrize(
    "changes",
    [
        {b"format": 2},
        {b"provisional": 1},
        {b"format": 2, b"provisional": 0},
        {b"format": 2, b"provisional": 2},
        {b"format": 2, b"provisional": b"1"},
        {b"format": 2, b"provisional": 1, b"more": 1},
    ],
)
def test_a_head_that_is_half_provisional_is_refused(changes):
    with pytest.raises(RemoteProtocolError):
        Head.parse_untrusted(sealed(bencoding.encode(BODY | changes)), KEYS)


def test_every_head_is_newer_than_every_provisional_one():
    first = replace(HEAD, seq=1, root=BlockId(bytes(32)))
    so_far = replace(HEAD, seq=2**62, provisional=True)
    assert first.standing_against(so_far) is Standing.NEWER
    assert so_far.standing_against(first) is Standing.OLDER
    assert so_far.standing_against(None) is Standing.NEWER
    assert replace(so_far, provisional=False).standing_against(so_far) is Standing.NEWER


def test_provisional_heads_are_ordered_among_themselves():
    one, two = (replace(HEAD, seq=seq, provisional=True) for seq in (1, 2))
    assert (two.standing_against(one), one.standing_against(two)) == (Standing.NEWER, Standing.OLDER)
    assert one.standing_against(replace(one)) is Standing.SAME
