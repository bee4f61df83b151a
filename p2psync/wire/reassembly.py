"""The block that comes in parts on a connection, put together. Pure."""

from collections.abc import Container

from p2psync.errors import RemoteProtocolError
from p2psync.ids import BlockId
from p2psync.wire import limits
from p2psync.wire.buffers import BufferPool
from p2psync.wire.messages import Blocks


class Reassembly:
    """One block at a time; what is begun before it is whole takes its place.

    Args:
        buffers: Where blocks are put.

    Attributes:
        id: The block that is coming in parts; empty if none is.
        filled_bytes: How much of it is here, or coming in the frame at hand.
    """

    def __init__(self, buffers: BufferPool) -> None:
        self._buffers = buffers
        self._abandoned_bytes = self._wasted_bytes = 0
        self.forget()

    @property
    def wasted_bytes(self) -> int:
        """Payload of blocks that were begun and never ended, or cancelled meanwhile."""
        return self._wasted_bytes + (self.filled_bytes if self._is_cancelled else 0)

    def place(self, id_: BlockId, total: int, offset: int, length: int) -> memoryview:
        """Return where the payload of a part must be put.

        Raises:
            RemoteProtocolError: It neither continues the block before it nor begins one that may be.
        """
        if not offset:
            if not 0 < total <= limits.MAX_PART_TOTAL_BYTES:
                raise RemoteProtocolError(f"a block of {total} bytes")
            self._abandon()
            self.id, self._block = id_, self._buffers.take(total)
        if (id_, total, offset) != (self.id, len(self._block), self.filled_bytes):
            raise RemoteProtocolError("a part that does not continue the block before it")
        if not 0 < length <= total - offset:
            raise RemoteProtocolError(f"a part of {length} bytes at {offset} of {total}")
        self.filled_bytes += length
        return self._block[offset : offset + length]

    def finish(self) -> Blocks | None:
        """The part that was placed is in; return the block if it is whole."""
        if self.filled_bytes < len(self._block):
            return None
        self._abandoned_bytes = max(0, self._abandoned_bytes - len(self._block))
        whole = Blocks([(self.id, self._block)])
        self.forget()
        return whole

    def cancel(self, ids: Container[BlockId]) -> None:
        """These are not needed any more: if the block is one of them, it is our doing that it is never ended."""
        if self._block and self.id in ids:
            self._is_cancelled = True

    def forget(self) -> None:
        """Let go of the block."""
        self.id, self._block, self.filled_bytes = BlockId(b""), memoryview(b""), 0
        self._is_cancelled = False

    def _abandon(self) -> None:
        """Count a block that will never be whole: compressed, a megabyte of it costs the peer some bytes."""
        self._wasted_bytes += self.filled_bytes
        if self._block and not self._is_cancelled:
            self._abandoned_bytes += max(len(self._block), limits.ABANDONED_BLOCK_BYTES)
            if self._abandoned_bytes > limits.MAX_ABANDONED_BYTES:
                raise RemoteProtocolError("it keeps beginning blocks that it does not end")
        self.forget()
