"""Runs `dfgen retokenize`: mask files in, mask files out, one for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dfgen.errors import InputError, RowError
from dfgen.records import Mask, Reject
from dfgen.stages.progress import Progress
from dfgen.stages.rejecting import make_reject
from dfgen.stages.retokenize import retokenize_mask
from dfgen.tokens.tokenizer import TextTokenizer

if TYPE_CHECKING:
    from dfgen.store.shards import ShardTable


def run_retokenize(
    source: Path, out: Path, tokenizer: TextTokenizer, progress: Progress
) -> dict[str, int]:
    """Carry every mask file under `source` over to `tokenizer`; returns input, output, rejects.

    Raises:
        InputError: `source` holds no mask files, or is `out`.
    """
    from dfgen.store.shards import ShardTable

    table, target = find_masks(source), ShardTable(out / "masks", Mask)
    if table.directory.resolve() == target.directory.resolve():
        raise InputError("--out is the same folder as the masks to read.", where=str(out))
    ledger = ShardTable(out / "rejects", Reject, prefix="mask")
    total = sum(map(table.num_rows, table.shards()))
    counts = {"input": total, "output": 0, "rejects": 0}
    progress.start("retokenize", total, 0)
    for shard in table.shards():
        rejects: list[Reject] = []
        rows = list(_convert(table.iter_rows(shard), tokenizer, rejects))
        if rejects:
            ledger.write(shard, rejects)
        target.write(shard, rows)
        counts["output"] += len(rows)
        counts["rejects"] += len(rejects)
        progress.advance(len(rows) + len(rejects), rejected=len(rejects))
    progress.finish("retokenize")
    return counts


def find_masks(path: Path) -> ShardTable:
    """The mask files of a run, of the output of `dfgen mask --pairs`, or of a folder itself.

    Raises:
        InputError: there are none.
    """
    from dfgen.store.shards import ShardTable

    for folder in (path / "masks", path):
        table = ShardTable(folder, Mask)
        if table.shards():
            return table
    raise InputError("holds no mask files (masks/part-00000.parquet, ...).", where=str(path))


def _convert(
    rows: Iterator[dict[str, object]], tokenizer: TextTokenizer, rejects: list[Reject]
) -> Iterator[Mask]:
    for values in rows:
        row = Mask.model_validate(values)
        try:
            yield retokenize_mask(row, tokenizer)
        except RowError as error:
            rejects.append(make_reject("mask", row.trajectory_id, row.prompt_id, error))
