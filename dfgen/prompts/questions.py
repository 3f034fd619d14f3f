"""Reads a question: plain text, or the user's turn of a chat; placeholders are taken out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dfgen.errors import RowError
from dfgen.prompts.columns import suggest_field

# The usual forms, which may be numbered, and what chat templates write: one picture each, also
# where a processor has repeated a token for every patch of it.
_PLACEHOLDER = re.compile(
    r"<\|?image(?:[ _]?(\d+))?\|?>"
    r"|<\|vision_start\|>(?:<\|image_pad\|>)+<\|vision_end\|>|<\|image_pad\|>"
    r"|<start_of_image>(?:(?:<image_soft_token>)+<end_of_image>)?|<image_soft_token>"
    r"|<img>(?:<IMG_CONTEXT>)+</img>|<IMG_CONTEXT>"
    r"|<\|?(?:image_placeholder|IMAGE_PLACEHOLDER|ImageHere|media_pad|imgpad)\|?>"
    r"|\[IMG\]"
)
_SHOWN = 40
_ROLE_KEYS = ("role", "from")
_USER_ROLES = ("user", "human")
_PICTURE_KEYS = ("image", "image_url", "url", "path", "bytes", "base64")


def read_question(cell: Any, column: str = "question") -> tuple[str, list[Any]]:
    """Return the text of a question and the pictures that stand inside it.

    A chat is a list of messages, `{role, content}` or `{from, value}`; the content is text or a
    list of blocks. Exactly one user turn is allowed, because dfgen asks one question; system turns
    are left out (`sample.system` sets one), and so are answers. A picture block stands for a
    placeholder.

    Args:
        column: that holds the question.

    Returns:
        Text with placeholders still in it (see `replace_placeholders`), and the cells of the
        chat's picture blocks that hold a picture.

    Raises:
        RowError: question_missing, question_invalid.
    """
    if cell is None or cell in ("", []):
        raise RowError("question_missing", "the question is empty")
    if isinstance(cell, str):
        return cell, []
    if isinstance(cell, dict) and cell.keys().isdisjoint(_ROLE_KEYS):
        raise RowError(
            "question_invalid",
            "the question is an object, not text or a chat: name one of its fields, such as "
            f"{suggest_field(cell, column)}",
        )
    messages = [cell] if isinstance(cell, dict) else cell
    if not isinstance(messages, list):
        raise RowError(
            "question_invalid", f"the question is of type {type(cell).__name__}, not text or a chat"
        )
    return read_turn(messages, _USER_ROLES, "question")


def read_turn(messages: list[Any], roles: tuple[str, ...], what: str) -> tuple[str, list[Any]]:
    """Return text and pictures of the one message of a chat that has one of these roles.

    Raises:
        RowError: `<what>_missing`, `<what>_invalid`.
    """
    if not all(isinstance(message, dict) for message in messages):
        raise RowError(f"{what}_invalid", f"the {what} is a list, but not one of chat messages")
    turns = [m for m in messages if (m.get("role") or m.get("from")) in roles]
    if len(turns) > 1:
        raise RowError(
            f"{what}_invalid", f"the chat has {len(turns)} {roles[0]} turns; dfgen reads one"
        )
    if not turns:
        raise RowError(f"{what}_missing", f"the chat has no {roles[0]} turn")
    content = turns[0].get("content")
    if content is None:
        content = turns[0].get("value")
    return _read_content(content, what)


def _read_content(content: Any, what: str) -> tuple[str, list[Any]]:
    if isinstance(content, str):
        return content, []
    if not isinstance(content, list):
        raise RowError(f"{what}_missing", "the message has no content")
    text, pictures = "", []
    for block in content:
        if isinstance(block, str):
            text += block
        elif isinstance(block, dict) and block.get("type") in ("image", "image_url"):
            text += "<image>"
            cell = next((block[key] for key in _PICTURE_KEYS if block.get(key)), None)
            if isinstance(cell, dict) and cell.get("url"):
                cell = cell["url"]
            if cell is not None:
                pictures.append(cell)
        elif isinstance(block, dict) and isinstance(block.get("text"), str):
            text += block["text"]
        else:
            raise RowError(f"{what}_invalid", "the message has a block that is not text or picture")
    return text, pictures


def has_placeholder(text: str) -> bool:
    """Say whether a text holds `<image>` or one of its forms."""
    return _PLACEHOLDER.search(text) is not None


def count_placeholders(text: str) -> int:
    """Count the placeholders of a text that have no number of their own."""
    return sum(match[1] is None for match in _PLACEHOLDER.finditer(text))


def check_placeholders(texts: Sequence[str], solution: str | None, pictures: int) -> None:
    """Compare the placeholders of a row with its pictures.

    Without any, the pictures stand where `sample.prompt` puts them. Otherwise each placeholder
    without a number stands for a picture, and each number for one, however often and wherever it
    is named; there have to be as many pictures, and no number beyond them.

    Args:
        texts: question and choices.
        solution: numbers count here, too; others are about the same pictures again.

    Raises:
        RowError: placeholder_mismatch.
    """
    found = [match for text in texts for match in _PLACEHOLDER.finditer(text)]
    if not found:
        return
    named = [match for match in _PLACEHOLDER.finditer(solution or "") if match[1]]
    numbers = {int(match[1]) for match in (*found, *named) if match[1]}
    count = len(numbers) + sum(match[1] is None for match in found)
    if count == pictures and max(numbers, default=0) <= pictures:
        return
    shown = ", ".join(dict.fromkeys(match[0][:_SHOWN] for match in found))
    raise RowError(
        "placeholder_mismatch",
        f"question and choices stand for {count} pictures ({shown}), and the row has {pictures};"
        " take the placeholder out of the text, or name all picture columns in columns.images",
        {"placeholders": [match[0][:_SHOWN] for match in found], "images": pictures},
    )


def replace_placeholders(text: str) -> str:
    """Take picture placeholders out of a text, so that no processor counts them as pictures.

    Placeholders are `<image>`, `<image1>`, `<image 1>`, `<image_1>` and their `<|...|>` forms, and
    what chat templates write for a picture (`<|image_pad|>`, `<image_soft_token>`, `[IMG]`). The
    pictures themselves stand where `{images}` stands in `sample.prompt`. If every placeholder is
    at the start, at the end, or on a line of its own, all are removed. If one of them stands
    inside a sentence, the text refers to its pictures, and every placeholder becomes the plain
    text `[image N]`, N being its own number or else its place among them. Blanks at both ends of
    the text are removed.
    """
    if not has_placeholder(text):
        return text.strip()
    if _has_one_inside(text):
        return mark_placeholders(text).strip()
    lines = []
    for line in text.split("\n"):
        rest = _PLACEHOLDER.sub("", line)
        if rest == line:
            lines.append(line)
        elif rest.strip():
            lines.append(rest.strip())
    return "\n".join(lines).strip()


def mark_placeholders(text: str, count: int = 0) -> str:
    """Replace every placeholder by `[image N]`.

    Args:
        count: placeholders without a number that stand before the text.
    """

    def number(match: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return f"[image {match.group(1) or count}]"

    return _PLACEHOLDER.sub(number, text)


def _has_one_inside(text: str) -> bool:
    """Say whether a placeholder has text before it, behind it, and on its own line."""
    blanked = _PLACEHOLDER.sub(lambda match: " " * len(match[0]), text)
    first, last = len(blanked) - len(blanked.lstrip()), len(blanked.rstrip())
    start = 0
    for line in text.split("\n"):
        if blanked[start : start + len(line)].strip() and any(
            first < start + match.start() and start + match.end() < last
            for match in _PLACEHOLDER.finditer(line)
        ):
            return True
        start += len(line) + 1
    return False
