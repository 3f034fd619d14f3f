"""Computes the id of a prompt from what it asks, so that equal prompts have equal ids."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from dfgen.errors import RowError
from dfgen.prompts.answers import write_value
from dfgen.prompts.columns import get_value


def make_prompt_id(
    question: str, choices: Sequence[str], answer: str, image_sha256s: Sequence[str]
) -> str:
    """Return the 32 hex digits that name a prompt.

    They are the first half of the SHA-256 of this JSON array in UTF-8, written without blanks and
    with non-ASCII characters as themselves (JSON quoting keeps the fields apart, so text cannot
    move from one field to the next unnoticed):

        ["dfgen.prompt-id/1", question, [choice, ...], answer, [image_sha256, ...]]

    Args:
        question: text after placeholders were taken out.
        choices: options in their order.
        answer: reference answer as text.
        image_sha256s: hex SHA-256 of the original bytes of each picture, in order.

    Raises:
        UnicodeEncodeError: a text holds half of a surrogate pair.
    """
    fields = ["dfgen.prompt-id/1", question, list(choices), answer, list(image_sha256s)]
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def read_source_id(values: Mapping[str, Any], column: str | None) -> str | None:
    """Read the user's own id of a row; None where no column is named. Numbers become text.

    Raises:
        RowError: `id_missing`: the cell is empty or holds no single value.
    """
    if column is None:
        return None
    try:
        name = write_value(get_value(values, column))
    except TypeError as error:
        raise RowError("id_missing", f"the cell of column {column!r} is no id: {error}") from error
    if name is None:
        raise RowError("id_missing", f"the cell of column {column!r} is empty")
    return name


def hash_source_id(source_id: str) -> str:
    """Compute 32 hex digits that stand for an own id of any length."""
    return hashlib.sha256(source_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
