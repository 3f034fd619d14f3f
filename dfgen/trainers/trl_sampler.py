"""Orders stored rows for TRL: whole groups side by side, a place for fresh ones in each batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch.utils.data import Sampler

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Layout:
    """How a generation batch is filled, the same way in each process.

    Attributes:
        processes: that share a batch, each a piece without gaps.
        rows: of a process.
        fresh: of these, the first ones are generated; a multiple of `generations`.
        generations: answers to one fresh prompt.
    """

    processes: int
    rows: int
    fresh: int
    generations: int

    @property
    def stored(self) -> int:
        """Stored rows in a batch of all processes."""
        return self.processes * (self.rows - self.fresh)


class GroupSampler(Sampler[int]):
    """Draws prompts in random order and all rows of each, in batches of one `Layout`.

    Rows of a prompt stand together, so that a batch holds the answers and the repairs of the same
    groups, and its normaliser hardly changes from batch to batch. What does not fill the last batch
    is left out; the next epoch has another order.

    Args:
        prompts: int64[N]: the prompt of each row; equal numbers stand side by side.
        layout: of a batch.
        repeats: how often TRL's loader is to give each batch.
        seed: of the order; None: as stored.
    """

    def __init__(
        self, prompts: NDArray[np.int64], layout: Layout, repeats: int, seed: int | None
    ) -> None:
        self.layout, self.repeats = layout, repeats
        starts = np.flatnonzero(np.diff(prompts, prepend=-1))
        self.groups = np.split(np.arange(len(prompts)), starts[1:])
        self.batches = len(prompts) // layout.stored
        self.seed, self.epoch = seed, 0
        self.random: np.random.Generator | None = None

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next, as a trainer that goes on from a checkpoint does."""
        self.epoch = epoch

    def __len__(self) -> int:
        layout = self.layout
        return self.batches * self.repeats * layout.processes * layout.rows

    def __iter__(self) -> Iterator[int]:
        if self.seed is not None:
            self.random = np.random.default_rng([self.seed, self.epoch])
        self.epoch += 1
        layout, stored = self.layout, np.concatenate([self.groups[i] for i in self._shuffle()])
        pieces = stored[: self.batches * layout.stored].reshape(
            self.batches, layout.processes, layout.rows - layout.fresh
        )
        prompts = self._iter_prompts()
        for batch in pieces:
            rows: list[int] = []
            for piece in batch:
                for _ in range(layout.fresh // layout.generations):
                    rows += [next(prompts)] * layout.generations
                rows += piece.tolist()
            for _ in range(self.repeats):
                yield from rows

    def _shuffle(self) -> NDArray[np.int64]:
        count = len(self.groups)
        return np.arange(count) if self.random is None else self.random.permutation(count)

    def _iter_prompts(self) -> Iterator[int]:
        """Yield a row of each prompt, without end; a fresh answer needs only its prompt."""
        while True:
            for index in self._shuffle().tolist():
                yield int(self.groups[index][0])
