"""Defines section `imports`: existing answers of other models, for `dfgen import`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dfgen.config.prompts import Columns, SourceConfig


class ImportColumns(Columns):
    """Which column of the source holds what: one row is one answer to one question."""

    response: str = "response"
    """What the model wrote: text, a chat with one assistant turn, or a list of texts (several
    answers to the question of the row). Kept exactly, to the last blank."""
    model: str | None = None
    """Names the model row by row; otherwise `model` holds for all."""
    id: str | None = None
    """Your own id of the answer. It travels as `source_id` to its trajectory, mask, exports and
    rejects, and `dfgen inspect RUN --id ID` finds it. Several answers may share one (those of one
    row do), and a row may lack it."""
    finish_reason: str | None = None
    """Why the model stopped (`stop`, `length`); unset or empty: unknown."""
    verdict: str | None = None
    """People's verdict on the answer, true or false; `dfgen stats` reports how often the grader
    agrees with it."""
    response_metadata: list[str] = Field(default_factory=list)
    """Columns that belong to the answer, such as people's verdicts on it; `metadata` names those
    that belong to the question."""


class ImportConfig(SourceConfig):
    """Answers of other models: a source, its columns, and the tokenizer that encodes them."""

    source: Literal["parquet", "jsonl", "csv", "folder", "datasets"] = "jsonl"
    """parquet, jsonl and csv: files; folder: pictures with a metadata.jsonl or metadata.csv;
    datasets: a Hub id or a local path, streamed."""
    columns: ImportColumns = ImportColumns()
    model: str = "unknown"
    """Name of the model that wrote the answers, for rows that name none."""
    tokenizer: str
    """Directory or Hub id of the tokenizer that encodes the answers: the trained policy's."""
    missing: Literal["keep", "drop"] | None = None
    """What becomes of prompts of a run that the source no longer has; see `prompts.missing`. Those
    that it has with other answers, more of them included, always stay."""
    shard_size: int = Field(default=256, gt=0)
    """Prompts per shard file."""
