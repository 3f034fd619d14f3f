"""Reads prompts: a source in, one prompt or one reject per row out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dfgen.config.prompts import PromptsConfig
from dfgen.errors import RowError
from dfgen.prompts.assembling import PromptAssembler
from dfgen.prompts.duplicates import DuplicateFinder, RefusedDuplicates
from dfgen.prompts.identity import hash_source_id
from dfgen.prompts.row_edge import read_row, reject_row
from dfgen.prompts.rows import AnyRow
from dfgen.prompts.sources import describe_rows, read_rows
from dfgen.records import Prompt, Reject


def read_prompts(config: PromptsConfig) -> Iterator[Prompt | Reject]:
    """Yield one prompt or one reject per row of the source, in the order of the source.

    Lazy: nothing is opened before the first row is asked for, and only one small batch of rows is
    in memory; what grows is the table of ids (24 to 48 bytes per prompt). Order and ids are the
    same on every read.

    Reasons of rejects: row_unreadable, question_missing, question_invalid, answer_missing,
    answer_invalid, solution_invalid, choices_invalid, image_missing, image_remote, image_corrupt,
    image_too_large, image_too_many, image_outside, duplicate; where `columns.id` is named,
    id_missing and duplicate_id, too.

    Raises:
        InputError: the source cannot be opened or read on, has no rows, lacks a column, or holds
            duplicates although `on_duplicate` is error; this is known at its end.
        ConfigError: an answer type that does not exist.
    """
    assembler = PromptAssembler(config)
    seen, names, id_column = DuplicateFinder(), DuplicateFinder(), config.columns.id
    again = RefusedDuplicates()
    for row in read_rows(config):
        prompt = read_row(row, assembler.assemble, id_column)
        if isinstance(prompt, Reject):
            yield prompt
            continue
        first = seen.find(prompt.prompt_id)
        if first is None:
            name = None if prompt.source_id is None else hash_source_id(prompt.source_id)
            holder = None if name is None else names.add(name, row.file, row.number)
            if holder is not None:
                yield _refuse_name(row, prompt, holder)
                continue
            seen.add(prompt.prompt_id, row.file, row.number)
            yield prompt
        elif config.on_duplicate == "error":
            again.add(row.where, first)
        else:
            detail = f"equal to row {first}: question, choices, answer and pictures"
            error = RowError("duplicate", detail, {"first_row": first})
            yield reject_row(row, error, prompt.prompt_id, id_column)
    if again.count:
        raise again.explain()


def _refuse_name(row: AnyRow, prompt: Prompt, holder: str) -> Reject:
    """Two questions under one own id: what is said of the id later would be of either."""
    error = RowError(
        "duplicate_id",
        f"row {holder} has the own id {prompt.source_id!r}, too, and asks something else",
        {"first_row": holder},
    )
    reject = reject_row(row, error, prompt.prompt_id)
    reject.source_id = prompt.source_id
    return reject


def describe_source(config: PromptsConfig) -> dict[str, Any]:
    """Return what identifies the source, for the manifest (see `describe_rows`).

    Reads every file once to hash it.

    Raises:
        InputError: the source is not there or cannot be read.
    """
    return describe_rows(config)
