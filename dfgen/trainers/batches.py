"""Decodes batches of groups into flat numpy columns, all answers of a batch side by side.

Whatever is done to tokens is done to the flat column, once per batch; an example is a slice of it.
Python lists of tokens would be a hundred times slower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from dfgen.errors import DamagedFileError
from dfgen.trainers.advantages import Answers, number_texts
from dfgen.trainers.reading import NESTED

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

DECISIVE = ("reward", "undecided", "mask_source", "finish_reason", "loss_mask", "repair_mask")
"""Columns of trajectories that decide what is trained on."""


@dataclass(frozen=True, slots=True)
class Ragged:
    """Lists of numbers, one per answer.

    Attributes:
        values: of all lists, one after the other.
        edges: int64[N+1]: where each begins and ends; a null list is empty.
        valid: bool[N]: the list is not null.
    """

    values: NDArray[Any]
    edges: NDArray[np.int64]
    valid: NDArray[np.bool_]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64[N]."""
        return np.diff(self.edges)

    def add_up(self, values: NDArray[Any] | None = None) -> NDArray[np.float64]:
        """Return float64[N]: the sum of each list, of these values or of others as long."""
        values = self.values if values is None else values
        total = np.zeros(len(self.edges) - 1)
        filled = self.lengths > 0
        if filled.any():
            starts = self.edges[:-1][filled]
            total[filled] = np.add.reduceat(values, starts, dtype=np.float64)
        return total

    def slice(self) -> list[NDArray[Any]]:
        """Return the values of each list, sharing memory."""
        values = self.values
        return [values[a:b] for a, b in pairwise(self.edges.tolist())]


@dataclass(frozen=True, slots=True)
class Batch:
    """G groups with N answers in flat columns.

    Attributes:
        edges: int64[G+1]: where the answers of each group begin and end.
        rows: N trajectories as an Arrow struct array.
        source: of the data, for messages.
    """

    edges: NDArray[np.int64]
    rows: pa.StructArray
    groups: pa.RecordBatch
    source: str

    def has(self, name: str) -> bool:
        """Say whether the trajectories have this column."""
        return bool(self.rows.type.get_field_index(name) >= 0)

    def read_values(self, name: str) -> list[Any]:
        """Return N values; None where the column is missing or the value null."""
        if not self.has(name):
            return [None] * len(self.rows)
        return self.rows.field(name).to_pylist()  # type: ignore[no-any-return]

    def read_lists(self, name: str) -> Ragged:
        """Read a list column; an entry that is null among floats becomes NaN.

        Raises:
            DamagedFileError: a list of integers or booleans holds a null.
        """
        import pyarrow as pa

        count = len(self.rows)
        if not self.has(name):
            return Ragged(np.zeros(0), np.zeros(count + 1, np.int64), np.zeros(count, bool))
        column = self.rows.field(name)
        flat = column.flatten()
        if flat.null_count and not pa.types.is_floating(flat.type):
            raise DamagedFileError(f"a list in {name} holds a null.", where=self.source)
        values = flat.to_numpy(zero_copy_only=False, writable=True)
        lengths = np.asarray(column.value_lengths().fill_null(0), dtype=np.int64)
        edges = np.concatenate(([0], np.cumsum(lengths)))
        return Ragged(values, edges, np.asarray(column.is_valid()))

    def check_lengths(self, name: str, column: Ragged, wanted: NDArray[np.int64]) -> None:
        """Raise `DamagedFileError` where a list that is there has another length than it must."""
        wrong = np.flatnonzero(column.valid & (column.lengths != wanted))
        if len(wrong):
            row = int(wrong[0])
            names = self.read_values("trajectory_id")
            raise DamagedFileError(
                f"{name} of {names[row] or f'answer {row} of a batch'} has {column.lengths[row]} "
                f"entries where there are {wanted[row]} tokens.",
                where=self.source,
                hint="Export the run again; `dfgen validate RUN` says what is wrong with it.",
            )


def open_batch(batch: pa.RecordBatch, source: str) -> Batch:
    """Take the answers out of a batch of groups."""
    nested = batch.column(batch.schema.get_field_index(NESTED))
    lengths = np.asarray(nested.value_lengths().fill_null(0), dtype=np.int64)
    edges = np.concatenate(([0], np.cumsum(lengths)))
    return Batch(edges, nested.flatten(), batch, source)


def summarize_answers(
    batch: Batch, weigh: bool, once: bool, picture_ids: Sequence[int] = ()
) -> Answers:
    """Gather what a recipe must know.

    Args:
        weigh: count masked tokens by their `weights`.
        once: find repairs that an earlier answer of the group has as well; needs `repair_ids`.
        picture_ids: ids that stand for pictures; needs `completion_ids` and `repair_ids`.

    Raises:
        DamagedFileError: a reward is not a number, or a repair has no mask.
    """
    rewards = np.asarray(batch.rows.field("reward"), dtype=np.float64)
    sources = np.asarray(batch.rows.field("mask_source").to_pylist(), dtype=object)
    undecided = np.asarray([value is True for value in batch.read_values("undecided")], bool)
    mask, new = batch.read_lists("loss_mask"), batch.read_lists("repair_mask")
    repaired = sources == "repair"
    wrong = (~np.isfinite(rewards) & ~undecided) | (repaired & ~new.valid) | ~mask.valid
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DamagedFileError(
            f"answer {row} of a batch has reward {rewards[row]}, "
            f"{'a' if mask.valid[row] else 'no'} mask and "
            f"{'a' if new.valid[row] else 'no'} mask of its repair.",
            where=batch.source,
            hint="`dfgen validate RUN` says what is wrong with the run it was exported from.",
        )
    masked = mask.add_up(weigh_mask(batch, mask)) if weigh else mask.add_up()
    texts = np.full(len(rewards), -1, np.int64)
    if once:
        ids = batch.read_lists("repair_ids")
        keys = [
            piece.tobytes() if there else None
            for piece, there in zip(ids.slice(), repaired.tolist(), strict=True)
        ]
        texts = number_texts(batch.edges, keys)
    blocked = repair_blocked = np.zeros(len(rewards), bool)
    if picture_ids:
        blocked = find_ids(batch.read_lists("completion_ids"), picture_ids)
        repair_blocked = find_ids(batch.read_lists("repair_ids"), picture_ids)
    return Answers(
        edges=batch.edges,
        rewards=rewards,
        undecided=undecided,
        repaired=repaired,
        tokens=mask.lengths,
        masked=masked,
        repair_tokens=new.lengths,
        new=new.add_up().astype(np.int64),
        texts=texts,
        blocked=blocked,
        repair_blocked=repair_blocked,
    )


def find_ids(column: Ragged, wanted: Sequence[int]) -> NDArray[np.bool_]:
    """Return bool[N]: the list holds one of these ids."""
    return column.add_up(np.isin(column.values, list(wanted))) > 0


def weigh_mask(batch: Batch, mask: Ragged) -> NDArray[np.float32]:
    """Return float32[sum of T]: weights where the mask is true, 0 elsewhere.

    An answer without weights, and a weight that is no number, counts in full: unknown is not 0.
    """
    weights = batch.read_lists("weights")
    batch.check_lengths("weights", weights, mask.lengths)
    factors = mask.values.astype(np.float32)
    if not len(weights.values):
        return factors
    known = np.repeat(weights.valid, mask.lengths)
    factors[known] *= np.nan_to_num(weights.values, nan=1.0).astype(np.float32)
    return factors


def find_complete(column: Ragged) -> NDArray[np.bool_]:
    """Return bool[N]: the list is there and every number in it is finite."""
    if not len(column.values) or np.isfinite(column.values.sum(dtype=np.float64)):
        return column.valid
    bad = column.add_up(~np.isfinite(column.values))
    complete: NDArray[np.bool_] = column.valid & (bad == 0)
    return complete


def slice_texts(values: Sequence[Any]) -> list[str]:
    """Return texts; a missing one is empty."""
    return [value or "" for value in values]
