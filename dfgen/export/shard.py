"""One shard of a run, with every mask assigned to its prompt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dfgen.errors import DamagedFileError
from dfgen.export.schema import RENAMED

if TYPE_CHECKING:
    import pyarrow as pa

    from dfgen.store.run import Run


@dataclass(frozen=True)
class Shard:
    """Prompts that have masks, and their masks, both in the order of the run.

    Attributes:
        prompts: table of `dfgen.records.Prompt`, N rows.
        masks: table of `dfgen.records.Mask` under published column names, M rows.
        counts: int64[N]: how many masks in turn belong to each prompt; adds up to M, none is 0.
        first_row: number of the first prompt in the whole table.
        left_out: prompts of the shard without any mask (all their answers were rejected).
    """

    prompts: pa.Table
    masks: pa.Table
    counts: NDArray[np.int64]
    first_row: int
    left_out: int

    def spread(self, values: pa.ChunkedArray | pa.Array) -> Any:
        """Repeat a value of each prompt for each of its masks."""
        return values.take(np.repeat(np.arange(len(self.counts)), self.counts))


def read_shards(run: Run) -> Iterator[Shard]:
    """The shards of a run that have masks, in order.

    Raises:
        DamagedFileError: masks and prompts do not belong together.
        StorageError: a file cannot be read.
    """
    row = 0
    for number in run.table("masks").shards():
        shard = _read_shard(run, number, row)
        row += shard.prompts.num_rows
        if shard.prompts.num_rows:
            yield shard


def count_left_out(run: Run) -> int:
    """Prompts of which no trajectory has a mask."""
    masks = run.table("masks")
    kept: set[str] = set()
    for number in masks.shards():
        kept.update(masks.read(number, ["prompt_id"])["prompt_id"].to_pylist())
    prompts = run.table("prompts")
    return sum(prompts.num_rows(number) for number in prompts.shards()) - len(kept)


def _read_shard(run: Run, number: int, row: int) -> Shard:
    masks = run.table("masks").read(number)
    prompts = run.table("prompts").read(number)
    owners = masks["prompt_id"].to_numpy()
    first = np.ones(len(owners), np.bool_)
    first[1:] = owners[1:] != owners[:-1]
    starts = np.flatnonzero(first)
    counts = np.diff(np.append(starts, len(owners))).astype(np.int64)
    known = {name: i for i, name in enumerate(prompts["prompt_id"].to_pylist())}
    order = [known.get(owners[start], -1) for start in starts]
    if -1 in order or any(b <= a for a, b in pairwise(order)):
        raise DamagedFileError(
            "the masks are not in the order of the prompts, or belong to other prompts.",
            where=str(run.table("masks").path(number)),
            hint="Delete the file and run `dfgen mask` again; masks cost nothing to make.",
        )
    renamed = [RENAMED.get(name, name) for name in masks.column_names]
    return Shard(
        prompts.take(order),
        masks.rename_columns(renamed).replace_schema_metadata(None),
        counts,
        row,
        prompts.num_rows - len(order),
    )
