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
from dfgen.trainers.column_types import NESTED

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

DECISIVE = ("reward", "undecided", "mask_source", "finish_reason", "loss_mask", "repair_mask")
"""Columns of trajectories that decide what is trained on."""

LOWEST_LOGPROB = -1e4
"""Below it a log-prob is not known: no answer is sampled so, and a ratio to it has no bounds."""

_HINT = "Export the run again; `dfgen validate RUN` says what is wrong with it."


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

    def cast(self, dtype: Any) -> Ragged:
        """Return the same with values of another type; shared where it is theirs already."""
        return Ragged(self.values.astype(dtype, copy=False), self.edges, self.valid)

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
        source: where the data are from, for messages.
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
        if pa.types.is_null(column.type):
            return Ragged(np.zeros(0), np.zeros(count + 1, np.int64), np.zeros(count, bool))
        flat = column.flatten()
        lengths = np.asarray(column.value_lengths().fill_null(0), dtype=np.int64)
        edges = np.concatenate(([0], np.cumsum(lengths)))
        if flat.null_count and not pa.types.is_floating(flat.type):
            at = int(np.flatnonzero(np.asarray(flat.is_null()))[0])
            row = int(np.searchsorted(edges, at, side="right")) - 1
            raise DamagedFileError(
                f"a list in {name} holds a null ({self.name_row(row)}).",
                where=self.source,
                hint=_HINT,
            )
        values = flat.to_numpy(zero_copy_only=False, writable=True)
        return Ragged(values, edges, np.asarray(column.is_valid()))

    def name_row(self, row: int) -> str:
        """Return the trajectory's id, for messages, or where it stands if it is not known."""
        names = self.read_values("trajectory_id")
        return names[row] or f"answer {row} of a batch"

    def check_lengths(self, name: str, column: Ragged, wanted: NDArray[np.int64]) -> None:
        """Raise `DamagedFileError` where a list that is there has another length than it must."""
        wrong = np.flatnonzero(column.valid & (column.lengths != wanted))
        if len(wrong):
            row = int(wrong[0])
            raise DamagedFileError(
                f"{name} of {self.name_row(row)} has {column.lengths[row]} "
                f"entries where there are {wanted[row]} tokens.",
                where=self.source,
                hint=_HINT,
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
            f"{batch.name_row(row)} has reward {rewards[row]}, "
            f"{'a' if mask.valid[row] else 'no'} mask and "
            f"{'a' if new.valid[row] else 'no'} mask of its repair.",
            where=batch.source,
            hint=_HINT,
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
    """Return bool[N]: the list is there and says a log-prob of every token."""
    known = np.isfinite(column.values) & (column.values >= LOWEST_LOGPROB)
    if known.all():
        return column.valid
    complete: NDArray[np.bool_] = column.valid & (column.add_up(~known) == 0)
    return complete


def slice_texts(values: Sequence[Any]) -> list[str]:
    """Return texts; a missing one is empty."""
    return [value or "" for value in values]
