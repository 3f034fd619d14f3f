"""Reads the options of a multiple-choice question, in any shape that data sets give them."""

from __future__ import annotations

import ast
import json
import string
from collections.abc import Sequence
from typing import Any

from dfgen.errors import RowError
from dfgen.prompts.answers import write_value
from dfgen.prompts.questions import count_placeholders, mark_placeholders

_MOST = len(string.ascii_uppercase)
_LONGEST = 100_000
"""Characters of a list written as text; Python's parser needs a thousand times their memory."""


def read_choices(cell: Any) -> list[str]:
    """Return the options in the order of their letters; an empty list for an open question.

    Shapes: a list; `{A: text, B: text}`; `{label: [A, B], text: [text, text]}`; a list written as
    JSON or as Python. Placeholders of pictures are left in (`mark_choices`).

    Raises:
        RowError: choices_invalid.
    """
    items = _find_items(cell)
    if len(items) > _MOST:
        raise _refuse(f"there are {len(items)} choices, but only {_MOST} letters", cell)
    choices = []
    for letter, item in zip(string.ascii_uppercase, items, strict=False):
        try:
            text = write_value(item)
        except TypeError as error:
            raise _refuse(f"choice {letter} is not text: {error}", cell) from error
        if text is None:
            raise _refuse(f"choice {letter} is empty", cell)
        choices.append(text)
    return choices


def mark_choices(choices: Sequence[str], count: int) -> list[str]:
    """Replace placeholders of pictures by `[image N]`, counted on from the question.

    Args:
        count: placeholders without a number in the question.
    """
    marked = []
    for choice in choices:
        marked.append(mark_placeholders(choice, count))
        count += count_placeholders(choice)
    return marked


def find_answer_letter(answer: str, first: int, choices: list[str]) -> str:
    """Return the letter of the choice at the position that `answer` names.

    Args:
        answer: a whole number as text.
        first: the number of the first choice, 0 or 1.
        choices: the options.

    Raises:
        RowError: choices_invalid: no number, or there is no such choice.
    """
    try:
        position = int(answer) - first
    except ValueError:
        position = -1
    if not 0 <= position < len(choices):
        raise RowError(
            "choices_invalid",
            f"the answer {answer!r} is not the position of one of {len(choices)} choices"
            f" counted from {first}",
            {"answer": answer, "choices": choices},
        )
    return string.ascii_uppercase[position]


def _find_items(cell: Any) -> list[Any]:
    if isinstance(cell, str):
        cell = _parse_list(cell)
    if cell is None:
        return []
    if isinstance(cell, list):
        return cell
    if isinstance(cell, dict):
        return _order_labelled(cell)
    raise _refuse(f"choices are of type {type(cell).__name__}, not a list", cell)


def _parse_list(text: str) -> Any:
    if not text.strip():
        return None
    if len(text) > _LONGEST:
        raise _refuse(f"choices are text of more than {_LONGEST:,} characters", text[:500])
    for parse in (json.loads, ast.literal_eval):
        try:
            parsed = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(parsed, list | dict):
            return parsed
    raise _refuse("choices are text, but not a list written as JSON or Python", text)


def _order_labelled(cell: dict[str, Any]) -> list[Any]:
    labels, texts = cell.get("label"), cell.get("text")
    if isinstance(labels, list) and isinstance(texts, list) and len(labels) == len(texts):
        pairs = list(zip(labels, texts, strict=True))
    else:
        # A struct column has every letter that any row of the file uses.
        pairs = [(label, text) for label, text in cell.items() if text is not None]
    named = [(str(label).strip().upper(), text) for label, text in pairs]
    ordered = sorted(named, key=lambda pair: pair[0])
    letters = "".join(label for label, _ in ordered)
    if letters != string.ascii_uppercase[: len(ordered)] or len(letters) != len(ordered):
        raise _refuse("choices are labelled, but not with A, B, C, ...", cell)
    return [text for _, text in ordered]


def _refuse(detail: str, cell: Any) -> RowError:
    return RowError("choices_invalid", detail, {"choices": repr(cell)[:500]})
