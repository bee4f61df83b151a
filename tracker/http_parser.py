"""HTTP/1.x requests without bodies, read strictly: bytes in, requests out (RFC 9112).

A tracker's requests are one GET after another, so the whole grammar fits one regular expression, and parsing costs a
twentieth of what a general parser needs. Whatever does not match exactly is refused and the connection closed:
bodies, bare line feeds, folded lines, spaces before a colon, control characters. The quantifiers are possessive,
so matching is linear in the input, whatever it is.
"""

import re
from typing import NamedTuple

MAX_HEAD_BYTES = 8192
_HEAD = re.compile(
    rb"([A-Z]{1,16}+) (/[!-~]*+) HTTP/1\.([01])\r\n"
    rb"((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t -~\x80-\xff]*+\r\n)*+)\r\n"
)
_LENGTH = b"\r\ncontent-length:"
_LENGTH_ZERO = re.compile(_LENGTH + rb"[ \t]*0+[ \t]*(?=\r\n)")
_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


class Request(NamedTuple):
    """One request.

    Attributes:
        path: Up to the `?`, still percent-encoded.
        query: What follows it, or empty.
        keep_alive: Whether the client means to send another one on this connection.
        headers: Lines `name:value` with names and values in lower case, each begun and ended by CRLF.
    """

    method: bytes
    path: bytes
    query: bytes
    keep_alive: bool
    headers: bytes

    def header(self, name: bytes) -> bytes:
        """Return the last value of a header whose name is given in lower case, empty if it is absent."""
        _, found, rest = self.headers.rpartition(b"\r\n" + name + b":")
        return rest.partition(b"\r\n")[0].strip() if found else b""


class BadRequestError(Exception):
    """What the client sent is no request of this service: answer `status` and close.

    Attributes:
        status: Of the answer.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class RequestReader:
    """The requests of one connection; holds at most one unfinished head."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Request]:
        """Return the requests that `data` completes, in order.

        Raises:
            BadRequestError: Nothing more can be read from this connection.
        """
        if self._buffer:
            data = self._buffer + data
        requests, start = [], 0
        while (end := data.find(b"\r\n\r\n", start, start + MAX_HEAD_BYTES)) >= 0:
            requests.append(_parse_head(data, start, end + 4))
            start = end + 4
        if len(data) - start >= MAX_HEAD_BYTES:
            raise BadRequestError(431, f"a request has more than {MAX_HEAD_BYTES} bytes of headers")
        self._buffer = data[start:]
        return requests

    @property
    def unfinished(self) -> bool:
        """Whether a request has begun to arrive."""
        return bool(self._buffer)


def _parse_head(data: bytes, start: int, end: int) -> Request:
    match = _HEAD.fullmatch(data, start, end)
    if match is None:
        raise BadRequestError(400, "this is no HTTP request")
    method, target, minor, lines = match.groups()
    headers = b"\r\n" + lines.lower()
    path, _, query = target.partition(b"?")
    request = Request(method, path, query, minor == b"1", headers)
    if b"\r\ntransfer-encoding:" in headers or headers.count(_LENGTH) != len(_LENGTH_ZERO.findall(headers)):
        raise BadRequestError(400, "requests to a tracker have no body")
    if b"\r\nconnection:" in headers:
        asked = request.header(b"connection")
        request = request._replace(keep_alive=b"close" not in asked if request.keep_alive else b"keep-alive" in asked)
    return request


def encode_response(
    body: bytes, *, status: int = 200, content_type: bytes = b"text/plain", keep_alive: bool = True
) -> bytes:
    """Return a whole response."""
    return b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n%b" % (
        status,
        _REASONS[status],
        content_type,
        len(body),
        b"" if keep_alive else b"Connection: close\r\n",
        body,
    )
