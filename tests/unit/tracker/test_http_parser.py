import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.http_parser import MAX_HEAD_BYTES, BadRequestError, RequestReader, encode_response

GET = b"GET /announce?a=1 HTTP/1.1\r\nHost: x\r\n\r\n"


def read(data):
    return RequestReader().feed(data)


def test_a_request_is_taken_apart():
    (request,) = read(
        b"GET /k/announce?info_hash=%ff&x=? HTTP/1.1\r\nHost: A:1\r\nX-Forwarded-For:  1.2.3.4 , 5.6.7.8 \r\n\r\n"
    )
    assert (request.method, request.path, request.query) == (b"GET", b"/k/announce", b"info_hash=%ff&x=?")
    assert request.header(b"host") == b"a:1"
    assert request.header(b"x-forwarded-for") == b"1.2.3.4 , 5.6.7.8"
    assert request.header(b"forwarded-for") == b""


def test_of_a_header_that_comes_twice_the_last_counts():
    (request,) = read(b"GET / HTTP/1.1\r\nA: 1\r\nA: 2\r\n\r\n")
    assert request.header(b"a") == b"2"


@given(cuts=st.lists(st.integers(1, 30), min_size=1), count=st.integers(1, 5))
def test_requests_survive_any_split_of_the_stream(cuts, count):
    reader, found, stream, at = RequestReader(), [], GET * count, 0
    for cut in cuts * (len(stream) // sum(cuts) + 1):
        found += reader.feed(stream[at : at + cut])
        at += cut
    assert found == read(GET) * count
    assert not reader.unfinished


@pytest.mark.parametrize(
    ("version", "connection", "keep_alive"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.1", b"Connection: Close\r\n", False),
        (b"1.1", b"connection: keep-alive\r\n", True),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: Keep-Alive\r\n", True),
    ],
)
def test_the_connection_stays_as_the_client_asks(version, connection, keep_alive):
    (request,) = read(b"GET / HTTP/" + version + b"\r\n" + connection + b"\r\n")
    assert request.keep_alive is keep_alive


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"GET /\r\n\r\n",  # HTTP/0.9
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"get / HTTP/1.1\r\n\r\n",
        b"GET announce HTTP/1.1\r\n\r\n",
        b"GET http://x/announce HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\n: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\0\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length:\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\ntransfer-encoding:\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",  # TLS
    ],
)
def test_what_is_no_request_is_refused(data):
    with pytest.raises(BadRequestError) as caught:
        read(data)
    assert caught.value.status == 400


def test_a_length_of_nothing_is_no_body():
    assert read(b"GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")[0].path == b"/"


@pytest.mark.parametrize("filler", [b"x", b"A: b\r\n", b"\0"])
def test_a_head_without_end_is_refused_in_time(filler):
    with pytest.raises(BadRequestError) as caught:
        feed_one_by_one(filler)
    assert caught.value.status in (400, 431)


def feed_one_by_one(filler):
    reader = RequestReader()
    reader.feed(b"GET / HTTP/1.1\r\n")
    for _ in range(MAX_HEAD_BYTES):
        reader.feed(filler)


def test_one_byte_too_many_is_refused_and_the_last_that_fits_is_not():
    filler = b"x" * (MAX_HEAD_BYTES - len(b"GET / HTTP/1.1\r\nA: \r\n\r\n"))
    assert read(b"GET / HTTP/1.1\r\nA: " + filler + b"\r\n\r\n")
    with pytest.raises(BadRequestError) as caught:
        read(b"GET / HTTP/1.1\r\nA: x" + filler + b"\r\n\r\n")
    assert caught.value.status == 431


def test_hostile_headers_cost_no_more_than_friendly_ones():
    began = time.process_time()
    for hostile in (b"a" * 8000, b"a:" * 4000, b"a: \t" * 2000, b"a:b\r\n" * 1600, b"! " * 4000):
        with pytest.raises(BadRequestError):
            read(b"GET /" + b"?" * 100 + b" HTTP/1.1\r\n" + hostile + b"\0\r\n\r\n")
    assert time.process_time() - began < 0.5  # a backtracking expression would need minutes


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_waited_for(data):
    reader = RequestReader()
    try:
        assert reader.feed(data) == []
    except BadRequestError:
        return
    assert reader.unfinished == bool(data)


def test_a_response_says_how_long_it_is():
    assert encode_response(b"abc") == (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc")
    assert b"\r\nConnection: close\r\n\r\n" in encode_response(b"", keep_alive=False)
    assert encode_response(b"", status=404).startswith(b"HTTP/1.1 404 Not Found\r\n")
