"""Reads a run shard by shard for an export: masks, each with the prompt that it answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dfgen.errors import DamagedFileError
from dfgen.export.chats import Chat, ChatMaker
from dfgen.export.columns import RENAMED
from dfgen.export.pictures import show_pictures
from dfgen.store.prompt_finder import PromptFinder

if TYPE_CHECKING:
    import pyarrow as pa

    from dfgen.store.finished import FinishedRun

UNKNOWN = -1
"""Owner of a mask whose prompt the run does not hold."""


@dataclass(frozen=True)
class Shard:
    """Prompts that have masks, and their masks, both in the order of the run.

    Attributes:
        prompts: table of `dfgen.records.Prompt`, N rows; `images` are views (`dfgen.pictures`), or
            missing where the table has no column for pictures.
        masks: table of `dfgen.records.Mask` under published column names, M rows.
        owners: int64[M]: the row of `prompts` that each mask belongs to, or `UNKNOWN`.
        chats: N prompts as the policy was asked them.
        first_row: number of the first prompt in the whole table.
        data_source: what trainers are told the rows come from.
    """

    prompts: pa.Table
    masks: pa.Table
    owners: NDArray[np.int64]
    chats: Sequence[Chat]
    first_row: int
    data_source: str

    def spread(self, values: pa.ChunkedArray | pa.Array) -> Any:
        """Repeat a value of each prompt for each of its masks; null where the prompt is unknown."""
        import pyarrow as pa

        return values.take(pa.array(self.owners, mask=self.owners == UNKNOWN))

    def filter(self, wanted: Any) -> Shard:
        """Return the same prompts with the masks for which a boolean Arrow column says so."""
        chosen = wanted.to_numpy()
        return replace(self, masks=self.masks.filter(wanted), owners=self.owners[chosen])

    def gather(self) -> Shard:
        """Gather the masks whose prompt is known, those of one prompt together, in their order."""
        owners = self.owners
        if (owners != UNKNOWN).all() and (owners[1:] >= owners[:-1]).all():
            return self
        order = np.argsort(owners, kind="stable")
        order = order[owners[order] != UNKNOWN]
        return replace(self, masks=self.masks.take(order), owners=owners[order])

    def find_edges(self) -> pa.Array:
        """Find int32[N+1]: where the masks of each prompt begin and end; `gather` comes before."""
        import pyarrow as pa

        counts = np.bincount(self.owners, minlength=self.prompts.num_rows)
        return pa.array(np.append(0, np.cumsum(counts)), pa.int32())


def read_shards(finished: FinishedRun, *, pictured: bool = True) -> Iterator[Shard]:
    """Read the shards of a run that have masks, in order.

    A run that drew its answers knows every prompt, and its masks stand in their order. Masks of
    pairs may have no prompt or share one from afar; a prompt of pairs in several shards is in each.

    Args:
        pictured: whether the pictures are wanted.

    Raises:
        DamagedFileError: masks and prompts do not belong together.
        InputError: see `show_pictures`.
        StorageError: a file cannot be read.
    """
    prompts = PromptFinder(finished.prompts)
    maker = ChatMaker(finished.pipeline)
    table = finished.run.table("masks")
    row = 0

    def read(number: int) -> Shard:
        nonlocal row
        masks = table.read(number)
        names = masks["prompt_id"].to_pylist()
        distinct = list(dict.fromkeys(names))
        if finished.has_answers_of_its_own:
            _check_order(names, prompts.read_ids(number), str(table.path(number)))
        found = prompts.find(distinct, number)
        ranks = {name: i for i, name in enumerate(found["prompt_id"].to_pylist())}
        renamed = [RENAMED.get(name, name) for name in masks.column_names]
        row += found.num_rows
        return Shard(
            show_pictures(finished, found) if pictured else found.drop_columns("images"),
            masks.rename_columns(renamed).replace_schema_metadata(None),
            np.array([ranks.get(name, UNKNOWN) for name in names], np.int64),
            _make_chats(maker, found),
            row - found.num_rows,
            f"dfgen/{finished.pipeline.name}",
        )

    # No loop: its names would keep a shard in memory while the next one is read.
    yield from filter(lambda shard: shard.masks.num_rows, map(read, table.shards()))


def count_left_out(finished: FinishedRun) -> int:
    """Prompts of which no trajectory has a mask."""
    table = finished.prompts
    if table is None:
        return 0
    masks = finished.run.table("masks")
    kept: set[str] = set()
    for number in masks.shards():
        kept.update(masks.read(number, ["prompt_id"])["prompt_id"].to_pylist())
    return sum(
        name not in kept
        for number in table.shards()
        for name in table.read(number, ["prompt_id"])["prompt_id"].to_pylist()
    )


def count_without_prompt(finished: FinishedRun) -> int:
    """Masks whose prompt the run does not hold, such as those of pairs without a question."""
    if finished.has_answers_of_its_own:
        return 0
    table, masks = finished.prompts, finished.run.table("masks")
    known: set[str] = set()
    for number in [] if table is None else table.shards():
        assert table is not None
        known.update(table.read(number, ["prompt_id"])["prompt_id"].to_pylist())
    return sum(
        name not in known
        for number in masks.shards()
        for name in masks.read(number, ["prompt_id"])["prompt_id"].to_pylist()
    )


def _check_order(names: Sequence[str], prompt_ids: Sequence[str], where: str) -> None:
    known = {name: i for i, name in enumerate(prompt_ids)}
    order = [known.get(name, -1) for name in names]
    if -1 in order or any(b < a for a, b in pairwise(order)):
        raise DamagedFileError(
            "the masks are not in the order of the prompts, or belong to other prompts.",
            where=where,
            hint="`dfgen mask RUN --redo mask` makes the masks anew; they cost nothing.",
        )


def _make_chats(maker: ChatMaker, prompts: pa.Table) -> list[Chat]:
    import pyarrow.compute as pc

    pictures = pc.list_value_length(prompts["images"]).to_pylist()
    rows = prompts.select(["question", "choices"]).to_pylist()
    return [
        maker.make(row["question"], row["choices"], count)
        for row, count in zip(rows, pictures, strict=True)
    ]
