"""Reads pairs of a wrong and a corrected text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dfgen.config.pairs import PairsConfig
from dfgen.errors import RowError
from dfgen.prompts.answers import write_value
from dfgen.prompts.columns import get_value
from dfgen.prompts.identity import make_prompt_id
from dfgen.prompts.image_cells import PictureReader, find_pictures
from dfgen.prompts.questions import read_question, replace_placeholders
from dfgen.prompts.row_edge import read_row
from dfgen.prompts.rows import SourceRow
from dfgen.prompts.sources import read_rows
from dfgen.records import Prompt, Reject


@dataclass(frozen=True, slots=True)
class Pair:
    """A text with mistakes beside its correction.

    Attributes:
        row_id: the row's own name, or that of its place (`dfgen.prompts.rows.name_row`).
        prompt: question and pictures, as far as the row has them.
        wrong: the completion.
        right: the repair.
        completion_ids: length T, as sampled; None: not known.
    """

    row_id: str
    prompt: Prompt
    wrong: str
    right: str
    completion_ids: list[int] | None

    @property
    def source_id(self) -> str | None:
        """The row's own name, if it has one."""
        return None if self.row_id == self.prompt.source else self.row_id


def read_pairs(config: PairsConfig) -> Iterator[Pair | Reject]:
    """Read one pair or one reject per row, in source order.

    Reasons of rejects: row_unreadable, text_missing, ids_invalid, duplicate_id, and those of
    pictures and questions.

    Raises:
        InputError: the source cannot be opened, has no rows, or lacks a column.
    """
    pictures = PictureReader(config)
    seen: set[str] = set()

    def assemble(row: SourceRow) -> Pair:
        pair = _assemble(row, config, pictures)
        if pair.row_id in seen:
            raise RowError("duplicate_id", f"the id {pair.row_id!r} stands twice.")
        seen.add(pair.row_id)
        return pair

    for row in read_rows(config):
        yield read_row(row, assemble)


def _assemble(row: SourceRow, config: PairsConfig, pictures: PictureReader) -> Pair:
    columns, values = config.columns, row.values
    wrong = _read_text(values, columns.wrong)
    right = _read_text(values, columns.right)
    question = ""
    name_of_question = columns.question or "question"
    cell = get_value(values, name_of_question)
    if cell is not None:
        question = replace_placeholders(read_question(cell, name_of_question)[0])
    images, infos = pictures.read(find_pictures(row, config) or [], row.folder)
    name = write_value(get_value(values, columns.id or "id"))
    return Pair(
        row_id=name or row.where,
        prompt=Prompt(
            prompt_id=make_prompt_id(question, [], "", [info.sha256 for info in infos]),
            question=question,
            images=images,
            image_info=infos,
            choices=[],
            answer="",
            answer_type="text",
            source=row.where,
            metadata="{}",
        ),
        wrong=wrong,
        right=right,
        completion_ids=_read_ids(get_value(values, columns.completion_ids or "completion_ids")),
    )


def _read_text(values: dict[str, Any], column: str) -> str:
    text = get_value(values, column)
    if not isinstance(text, str):
        raise RowError("text_missing", f"column {column!r} holds no text, but {text!r:.60}.")
    if not text:
        raise RowError("text_missing", f"column {column!r} holds an empty text.")
    return text


def _read_ids(cell: Any) -> list[int] | None:
    if cell is None:
        return None
    whole = isinstance(cell, list) and all(type(item) is int and item >= 0 for item in cell)
    if not whole:
        raise RowError("ids_invalid", f"completion_ids is not a list of token ids: {cell!r:.60}.")
    return list(cell)
