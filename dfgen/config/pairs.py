"""Defines section `pairs`: texts and corrections that people have, for `dfgen mask --pairs`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dfgen.config.prompts import Columns, SourceConfig


class PairColumns(Columns):
    """Which column of the source holds what: one row is one pair.

    Columns that are not named here are used when the source has them under their usual names:
    id, completion_ids, question, images.
    """

    question: str = ""
    """What was asked; carried along with the pictures."""
    answer: str = ""
    wrong: str = "wrong"
    """The text with mistakes: the policy's completion."""
    right: str = "right"
    """The corrected text."""
    id: str | None = None
    """Your own id of the pair; becomes `trajectory_id` and `source_id`. One that stood before is a
    reject; a row without one is called by its file and line."""
    completion_ids: str | None = None
    """Token ids of the wrong text as they were sampled; otherwise it is encoded."""


class PairsConfig(SourceConfig):
    """A source of pairs and its columns."""

    source: Literal["parquet", "jsonl", "csv"] = "jsonl"
    tokenizer: str
    """Directory or Hub id of the policy's tokenizer, in whose tokens the masks are made."""
    columns: PairColumns = PairColumns()
    shard_size: int = Field(default=2000, gt=0)
    """Rows per shard file."""
