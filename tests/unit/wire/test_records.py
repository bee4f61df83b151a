"""Records: what one end writes the other reads, whatever the pieces it comes in, and nothing else is read."""

import hashlib
import hmac
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import p2psync.wire
from p2psync.errors import RemoteProtocolError
from p2psync.wire.limits import RECORD_BYTES
from p2psync.wire.records import KEY_BYTES, RECORD_OVERHEAD_BYTES, TAG_BYTES, RecordReader, RecordWriter

KEY = bytes(range(KEY_BYTES))


def records(*plains, key=KEY, **options):
    writer = RecordWriter(key, **options)
    found = []
    for plain in plains:
        record = memoryview(bytearray(len(plain) + RECORD_OVERHEAD_BYTES))
        writer.write_into(record, plain)
        found.append(bytes(record))
    return found


def put(reader, received):
    while received:
        room = reader.writable()
        assert room
        part, received = received[: len(room)], received[len(room) :]
        room[: len(part)] = part
        reader.received(len(part))


def read(reader, size=1 << 22):
    buffer = memoryview(bytearray(size))
    return bytes(buffer[: reader.read_into(buffer)])


def read_all(received, **options):
    reader = RecordReader(KEY, **options)
    put(reader, received)
    return read(reader)


@given(plains=st.lists(st.binary(min_size=1, max_size=300)), cuts=st.lists(st.integers(1, 90)), size=st.integers(1, 99))
def test_what_was_written_is_read_in_whatever_pieces_it_comes(plains, cuts, size):
    stream, found, reader = b"".join(records(*plains)), b"", RecordReader(KEY)
    for cut in [*cuts, len(stream)]:
        put(reader, stream[:cut])
        stream = stream[cut:]
        while got := read(reader, size):
            found += got
    assert found == b"".join(plains)
    assert reader.unread_bytes == 0


@pytest.mark.parametrize("size", [1, 5000, 70_000, RECORD_BYTES])
def test_a_record_of_any_length_is_read_after_one_byte_at_its_start_came_alone(size):
    (record,) = records(bytes(size))
    reader = RecordReader(KEY, record[:1])
    assert read(reader) == b""
    put(reader, record[1:])
    assert read(reader) == bytes(size)


def test_what_is_written_is_what_the_protocol_page_shows():
    page = (Path(p2psync.wire.__file__).parent / "PROTOCOL.md").read_text()
    shown = re.search(r"^    records: ([0-9a-f ]+)$", page, re.MULTILINE)
    assert b"".join(records(b"p2psync", b"")) == bytes.fromhex(shown[1])


def test_a_reader_knows_how_much_is_missing():
    (record,) = records(bytes(1000))
    reader = RecordReader(KEY, record[:100])
    assert (reader.missing_bytes, reader.unread_bytes) == (len(record) - 100, 100)


def test_what_came_with_the_handshake_is_read_first():
    first, second = records(b"first", b"second")
    reader = RecordReader(KEY, first + second[:3])
    put(reader, second[3:])
    assert read(reader) == b"firstsecond"


def test_much_that_came_with_the_handshake_is_read_too():
    (record,) = records(bytes(20_000))
    assert read(RecordReader(KEY, record)) == bytes(20_000)


def test_a_record_that_does_not_fit_what_is_left_of_the_room_stays_for_the_next():
    first, second = records(bytes(60), bytes(60))
    reader = RecordReader(KEY, first + second)
    assert read(reader, 100) == bytes(60)
    assert reader.unread_bytes == len(second)


@pytest.mark.parametrize("at", [0, 3, 4, 12, -1])
def test_a_record_with_a_changed_bit_is_refused(at):
    changed = bytearray(records(b"twelve bytes")[0])
    changed[at] ^= 1
    reader = RecordReader(KEY)
    put(reader, bytes(changed) + bytes(1 << 10))
    with pytest.raises(RemoteProtocolError):
        read(reader)


@pytest.mark.parametrize("order", [[1], [0, 0], [0, 2], [1, 0]])
def test_a_record_that_is_left_out_repeated_or_moved_is_refused(order):
    three = records(b"a", b"b", b"c")
    reader = RecordReader(KEY)
    put(reader, b"".join(three[at] for at in order))
    good = order[0] == 0
    assert not good or read(reader) == b"a"
    with pytest.raises(RemoteProtocolError):
        read(reader)


def test_a_record_under_another_key_is_refused():
    reader = RecordReader(bytes(KEY_BYTES))
    put(reader, records(b"a")[0])
    with pytest.raises(RemoteProtocolError):
        read(reader)


@pytest.mark.parametrize("length", [0, TAG_BYTES - 1, RECORD_BYTES + TAG_BYTES + 1, (1 << 32) - 1])
def test_a_record_of_an_impossible_length_is_refused_by_its_header(length):
    reader = RecordReader(KEY, length.to_bytes(4, "big"))
    with pytest.raises(RemoteProtocolError, match=f"a record of {length} bytes"):
        read(reader)


def test_what_came_before_a_wrong_record_is_read_and_nothing_after_it():
    good, wrong, next_good = records(b"good", b"wrong", b"good again")
    reader = RecordReader(KEY)
    put(reader, good + wrong[:-1] + b"?" + next_good)
    assert read(reader) == b"good"
    for _ in range(2):
        with pytest.raises(RemoteProtocolError):
            read(reader)


@pytest.mark.parametrize("size", [1, 12, 100])
def test_of_a_wrong_record_nothing_is_ever_read_whatever_the_room(size):
    reader = RecordReader(KEY)
    put(reader, records(b"twelve bytes")[0][:-1] + b"?")
    for _ in range(2):
        with pytest.raises(RemoteProtocolError):
            read(reader, size)
    assert reader.unread_bytes == 0


def test_an_empty_record_is_the_end():
    last, end, after = records(b"last words", b"", b"more")
    reader = RecordReader(KEY)
    put(reader, last + end + after)
    assert read(reader) == b"last words"
    assert reader.is_ended
    assert read(reader) == b""


def test_after_its_share_of_records_a_key_is_replaced_at_both_ends_and_they_are_counted_anew():
    plains = [bytes([n]) for n in range(8)]
    often = records(*plains, records_a_key=3)
    assert read_all(b"".join(often), records_a_key=3) == b"".join(plains)
    # RFC 5869, 2.3, of one block.
    second = hmac.digest(KEY, b"p2psync 2 next record key\1", hashlib.sha256)
    third = hmac.digest(second, b"p2psync 2 next record key\1", hashlib.sha256)
    assert often == [*records(*plains[:3]), *records(*plains[3:6], key=second), *records(*plains[6:], key=third)]


def test_no_two_records_are_alike_even_with_the_same_bytes():
    same = records(*[b"same"] * 100, records_a_key=7)
    assert len(set(same)) == 100
