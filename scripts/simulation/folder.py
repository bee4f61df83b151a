"""A manifest's shape, which every getter knows from the start."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from p2psync.blocks.need import Run
from p2psync.ids import BlockId

RUN_BYTES = 1 << 20


@dataclass(frozen=True)
class Folder:
    """A manifest's shape: one root, pages, blocks with lengths."""

    root: BlockId
    pages: Mapping[BlockId, list[BlockId]]
    lengths: Mapping[BlockId, int]

    @property
    def size_bytes(self) -> int:
        return sum(self.lengths.values())

    @cached_property
    def runs(self) -> Sequence[Run]:
        """What is asked for in one go; all getters share them."""
        runs = []
        for page, ids in self.pages.items():
            positions: list[int] = []
            size = 0
            for position, id_ in enumerate(ids):
                if positions and size + self.lengths[id_] > RUN_BYTES:
                    runs.append(self._run(page, positions))
                    positions, size = [], 0
                positions.append(position)
                size += self.lengths[id_]
            runs.append(self._run(page, positions))
        return runs

    def _run(self, page: BlockId, positions: list[int]) -> Run:
        ids = [self.pages[page][position] for position in positions]
        return Run(page, positions, ids, [self.lengths[id_] for id_ in ids])


def make_folder(blocks: int, block_bytes: int, rng: random.Random, pages: int = 1) -> Folder:
    """Make a folder whose blocks are about as long as content-defined ones are."""
    ids = [BlockId(rng.randbytes(32)) for _ in range(blocks)]
    share = -(-blocks // pages)
    lengths = {id_: int(block_bytes * rng.uniform(0.5, 1.5)) for id_ in ids}
    return Folder(
        BlockId(rng.randbytes(32)),
        {BlockId(rng.randbytes(32)): ids[at : at + share] for at in range(0, blocks, share)},
        lengths,
    )
