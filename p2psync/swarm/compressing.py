"""Whether compressing what is sent on a link would get it there sooner. Pure."""

FAST_BYTES_PER_S = 32e6
"""On a faster link compressing takes longer than it saves, or a core that has better things to do."""
WORTHWHILE = 0.9
"""A frame that keeps more of its length than this goes as it is."""
MOST_PASSED_OVER = 64
"""Frames that are not tried after one that hardly shrank; doubles from one. Films and archives cost a try in 64 MiB."""
_KEPT = 0.8
"""Weight of the past in the rate: some five frames."""


class Compressing:
    """Judges a link by how fast its frames leave, and its payload by how well it was compressed before."""

    def __init__(self) -> None:
        self._sent_bytes = 0.0
        self._took_s = 0.0
        self._passing_over = 0
        self._to_pass_over = 0

    def sent(self, wire_bytes: int, took_s: float) -> None:
        """Take note that a frame of payload took so long to leave."""
        self._sent_bytes = _KEPT * self._sent_bytes + wire_bytes
        self._took_s = _KEPT * self._took_s + took_s

    def wants(self) -> bool:
        """Say whether the next frame should be tried."""
        if self._sent_bytes >= FAST_BYTES_PER_S * self._took_s:
            return False
        if self._to_pass_over:
            self._to_pass_over -= 1
            return False
        return True

    def is_worthwhile(self, plain_bytes: int, packed_bytes: int) -> bool:
        """Say whether a frame that was tried should go compressed; learns from it."""
        if packed_bytes < WORTHWHILE * plain_bytes:
            self._passing_over = 0
            return True
        self._passing_over = min(MOST_PASSED_OVER, 2 * self._passing_over or 1)
        self._to_pass_over = self._passing_over
        return False
