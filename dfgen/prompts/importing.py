"""Reads existing answers of other models, grouped by the prompt that they answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from dfgen.config.imports import ImportColumns, ImportConfig
from dfgen.errors import RowError
from dfgen.prompts.answers import write_value
from dfgen.prompts.assembling import PromptAssembler
from dfgen.prompts.columns import get_value
from dfgen.prompts.metadata import to_json
from dfgen.prompts.questions import read_turn
from dfgen.prompts.row_edge import read_row
from dfgen.prompts.rows import SourceRow
from dfgen.prompts.sources import describe_rows, read_rows
from dfgen.prompts.temp_records import TempRecords
from dfgen.records import Prompt, Reject

_ANSWER_ROLES = ("assistant", "gpt", "model")


@dataclass(frozen=True, slots=True)
class ImportedResponse:
    """What a model once answered to a prompt.

    Attributes:
        text: the answer, exactly as in the source.
        model: who wrote it.
        source: the name of its row (`dfgen.prompts.rows.name_row`).
        row_id: the source's own name of the answer, if it has one.
        finish_reason: stop, length, ... or unknown.
        metadata: the columns of `response_metadata`, JSON-able.
    """

    text: str
    model: str
    source: str
    row_id: str | None = None
    finish_reason: str = "unknown"
    metadata: dict[str, Any] = field(default_factory=dict)


ImportedGroup = tuple[Prompt, list[ImportedResponse]]


def read_trajectories(config: ImportConfig) -> Iterator[ImportedGroup | Reject]:
    """Yield every prompt with all its answers, and one reject per row that cannot be used.

    Rows with the same prompt id belong together wherever they stand. Prompts come in the order of
    their first rows and answers in the order of theirs, so an answer's place in its list can serve
    as its sample index. Solution, metadata and source of a prompt are those of its first row.
    Equal answers stay: two samples may well be equal.

    Groups are complete only when the source was read to its end, so prompts and answers wait in a
    temporary file (of the size of the pictures and texts); in memory stand about 100 bytes per
    row. Rejects come first, as they are met.

    Reasons of rejects: those of `read_prompts` except duplicate, response_missing,
    response_invalid.

    Raises:
        InputError: the source cannot be opened or read on, has no rows, or lacks a column.
        ConfigError: an answer type that does not exist.
        StorageError: the temporary file cannot be written.
    """
    assembler = PromptAssembler(config)

    def assemble(row: SourceRow) -> tuple[list[ImportedResponse], Prompt]:
        return _read_responses(row, config), assembler.assemble(row)

    groups: dict[str, list[int]] = {}
    with TempRecords() as waiting:
        for row in read_rows(config):
            read = read_row(row, assemble, config.columns.id)
            if isinstance(read, Reject):
                yield read
                continue
            responses, prompt = read
            places = groups.get(prompt.prompt_id)
            if places is None:
                places = groups[prompt.prompt_id] = [waiting.append(prompt)]
            places.extend(waiting.append(response) for response in responses)
        for first, *places in groups.values():
            group = [waiting.load(place, ImportedResponse) for place in places]
            yield waiting.load(first, Prompt), group


def describe_trajectories(config: ImportConfig) -> dict[str, Any]:
    """Return what identifies the source, for the manifest (see `describe_rows`).

    Raises:
        InputError: the source is not there or cannot be read.
    """
    return describe_rows(config)


def _read_responses(row: SourceRow, config: ImportConfig) -> list[ImportedResponse]:
    columns, values = config.columns, row.values
    texts = _read_texts(get_value(values, columns.response))
    model = _read_name(values, columns.model, "model")
    finish = _read_name(values, columns.finish_reason, "finish_reason")
    return [
        ImportedResponse(
            text=text,
            model=model or config.model,
            source=row.where,
            row_id=_read_name(values, columns.id, "id"),
            finish_reason=finish or "unknown",
            metadata=_read_metadata(values, columns),
        )
        for text in texts
    ]


def _read_metadata(values: dict[str, Any], columns: ImportColumns) -> dict[str, Any]:
    names = [*columns.response_metadata, *([columns.verdict] if columns.verdict else [])]
    return {name: to_json(get_value(values, name)) for name in names}


def _read_name(values: dict[str, Any], column: str | None, what: str) -> str | None:
    try:
        return write_value(get_value(values, column))
    except TypeError as error:
        raise RowError("row_unreadable", f"the {what} is not text: {error}") from error


def _read_texts(cell: Any) -> list[str]:
    if isinstance(cell, dict):
        cell = [cell]
    if isinstance(cell, list) and cell and isinstance(cell[0], dict):
        cell = read_turn(cell, _ANSWER_ROLES, "response")[0]
    texts = cell if isinstance(cell, list) else [cell]
    if not texts:
        raise RowError("response_missing", "the list of responses is empty")
    for text in texts:
        if text is None or (isinstance(text, str) and not text.strip()):
            raise RowError("response_missing", "the response is empty")
        if not isinstance(text, str):
            raise RowError("response_invalid", f"the response is a {type(text).__name__}, not text")
    return texts
