"""Computes the id of a prompt from what it asks, so that equal prompts have equal ids."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence


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
