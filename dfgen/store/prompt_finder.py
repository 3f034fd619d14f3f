"""Finds the prompts that masks belong to, wherever in a run they are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from dfgen.store.shards import ShardTable


class PromptFinder:
    """Reads prompts by id: from the shard of the masks, or wherever else they are.

    What a run drew lies in equal shards of prompts and masks; pairs may share a prompt across
    shards, and have none at all.

    Args:
        table: all prompts; None where there are none.
    """

    def __init__(self, table: ShardTable | None) -> None:
        self._table = table

    @cached_property
    def _places(self) -> dict[str, int]:
        """Shard of every prompt, the first one that holds it; read when a prompt is missed."""
        shards = [] if self._table is None else self._table.shards()
        places: dict[str, int] = {}
        for number in shards:
            for name in self.read_ids(number):
                places.setdefault(name, number)
        return places

    def read_ids(self, number: int) -> list[str]:
        """Read the ids of one shard, in order; none where the shard is not there."""
        if self._table is None or not self._table.exists(number):
            return []
        ids: list[str] = self._table.read(number, ["prompt_id"])["prompt_id"].to_pylist()
        return ids

    def find(
        self, names: Sequence[str], near: int, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Find the prompts with these ids, those that there are, in this order.

        Args:
            names: prompt ids, each once.
            near: the shard to look in first.
            columns: only these, `prompt_id` among them; None: all.

        Raises:
            StorageError: a file cannot be read.
        """
        import numpy as np
        import pyarrow as pa

        here = set(self.read_ids(near))
        others = {self._places.get(name, near) for name in names if name not in here} - {near}
        shards = ([near] if here else []) + sorted(others)
        if self._table is None or not shards:
            return _make_empty(columns)
        parts = [self._table.read(number, columns) for number in shards]
        rows = parts[0] if len(parts) == 1 else pa.concat_tables(parts)
        ranks: dict[str, int] = {}
        for i, name in enumerate(rows["prompt_id"].to_pylist()):
            ranks.setdefault(name, i)
        chosen = [ranks[name] for name in names if name in ranks]
        # pa.array() would import pandas, which takes longer than all the rest of `dfgen inspect`.
        places = pa.py_buffer(np.asarray(chosen, np.int64))
        return rows.take(pa.Array.from_buffers(pa.int64(), len(chosen), [None, places]))


def _make_empty(columns: Sequence[str] | None) -> pa.Table:
    from dfgen.records import Prompt
    from dfgen.store.parquet import make_file_schema

    table = make_file_schema(Prompt).empty_table()
    return table if columns is None else table.select(list(columns))
