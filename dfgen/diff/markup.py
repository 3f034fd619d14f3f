"""Tells list markers, headings, emphasis and formula signs from operators and names."""

from __future__ import annotations

import re

from dfgen.diff.atoms import Units
from dfgen.diff.letter_case import UNIT_SYMBOL

_SIGNS = frozenset("-+–−")
BULLETS = frozenset("*•‣◦▪●·∙") | _SIGNS
#: How far markup looks for its line, so that one endless line costs no quadratic time.
_NEAR = 4096
#: How many units apart the two ends of an emphasis may be.
_PARTNER = 64
_BULLET_LINE = re.compile(r"[ \t]*[-+–−*•‣◦▪●·∙][ \t]+\S")
_NUMBER_LINE = re.compile(r"[ \t]*\(?(\d{1,3})[.)、．)]")
_ROUND = re.compile(r"[①-⑳⑴-⒇]")


def is_markup(units: Units, index: int) -> bool:
    """Say whether a sign is a list marker, a heading or emphasis rather than an operator."""
    text, end, key = units.text, units.ends[index], units.keys[index]
    if key in BULLETS or key[0] == "#":
        blank_behind = end == len(text) or text[end].isspace()
        if blank_behind and _opens_line(units, index):
            return key[0] == "#" or _is_bullet(units, index, key)
    if key[0] not in "*_`":
        return False
    if key[:3] == "```":
        return True
    return _has_partner(units, index)


def is_list_number(units: Units, index: int) -> bool:
    """Say whether a unit is the number of a list item, or the sign behind that number.

    Numbers 2. and 3. at the start of two lines are a list; a line "5." alone is an answer.
    """
    key = units.keys[index]
    if _ROUND.fullmatch(key):
        return True
    at = index
    if key in {".", ")", "、", "．", "）"}:
        at = index - 1
    elif key == "(" and index + 1 < len(units):
        at = index + 1
    if at < 0 or not units.keys[at].isdecimal() or len(units.keys[at]) > 3:
        return False
    opens = at - 1 if at and units.keys[at - 1] == "(" else at
    if not _opens_line(units, opens) or at + 2 >= len(units):
        return False
    if units.keys[at + 1] not in {".", ")", "、", "．", "）"}:
        return False
    if units.starts[at + 1] != units.ends[at] or units.starts[at + 2] == units.ends[at + 1]:
        return False
    number = int(units.keys[at])
    return _stands_beside(units, opens, number - 1, -1) or _stands_beside(
        units, opens, number + 1, 1
    )


def is_formula_mark(units: Units, index: int) -> bool:
    """Say whether a dollar sign opens or closes a formula; alone on its line it is money."""
    text, start = units.text, units.starts[index]
    line_start = text.rfind("\n", max(0, start - _NEAR), start) + 1
    line_end = text.find("\n", start, start + _NEAR)
    return text.count("$", line_start, line_end if line_end >= 0 else start + _NEAR) % 2 == 0


def _opens_line(units: Units, index: int) -> bool:
    text, start = units.text, units.starts[index]
    line = text.rfind("\n", max(0, start - _NEAR), start) + 1
    return start == line or (start - line < _NEAR and text[line:start].isspace())


def _is_bullet(units: Units, index: int, key: str) -> bool:
    """Say whether a sign at the start of a line marks a list item.

    Before a word it does. Before a number or a term it does among other items, if words follow:
    "- 5 cats" below "- 3 dogs", but not "- 5" and not "- 3x".
    """
    if key in "•‣◦▪●" or index + 1 >= len(units):
        return True
    if not _begins_term(units, index + 1):
        return True
    if not _has_word(units, index + 2):
        return key not in _SIGNS and _has_bullet_beside(units, index)
    return _has_bullet_beside(units, index)


def _begins_term(units: Units, index: int) -> bool:
    key = units.keys[index]
    first = key[0]
    if first.isalpha():
        following = units.keys[index + 1] if index + 1 < len(units) else ""
        return (len(key) == 1 and key.isascii()) or following in {"(", "^", "_", "="}
    return first.isnumeric() or first in "\\([{.$√|" or key in BULLETS


def _has_word(units: Units, index: int) -> bool:
    """Say whether an ordinary word (or a colon) comes next, perhaps behind a bracket or point."""
    for k in range(index, min(index + 2, len(units))):
        key = units.keys[k]
        if "\n" in units.blank_before(k):
            return False
        if key == ":" or (
            key[0].isalpha()
            and (len(key) > 1 or not key.isascii())
            and UNIT_SYMBOL.fullmatch(key) is None
        ):
            return True
        if key not in {".", ")", "%"}:
            return False
    return False


def _has_bullet_beside(units: Units, index: int) -> bool:
    text, start = units.text, units.starts[index]
    end = text.find("\n", start, start + _NEAR)
    if end >= 0:
        following = text[end : end + _NEAR].lstrip()
        if _BULLET_LINE.match(following):
            return True
    line = text.rfind("\n", max(0, start - _NEAR), start) + 1
    before = text[max(0, line - _NEAR) : line].rstrip().rpartition("\n")[2]
    return _BULLET_LINE.match(before) is not None


def _stands_beside(units: Units, index: int, number: int, way: int) -> bool:
    """Say whether the nearest numbered line before (-1) or behind (1) has that number."""
    text, start = units.text, units.starts[index]
    line = text.rfind("\n", max(0, start - _NEAR), start) + 1
    if way < 0:
        lines = reversed(text[max(0, line - _NEAR) : line].split("\n"))
    else:
        lines = iter(text[line : line + _NEAR].split("\n")[1:])
    for each in lines:
        match = _NUMBER_LINE.match(each)
        if match:
            return int(match[1]) == number
    return False


def _has_partner(units: Units, index: int) -> bool:
    key = units.keys[index]
    opens, closes = _opens(units, index), _closes(units, index)
    if opens:
        for k in range(index + 1, min(index + _PARTNER, len(units))):
            if "\n" in units.blank_before(k):
                break
            if units.keys[k] == key and _closes(units, k):
                return True
    if closes:
        for k in range(index - 1, max(index - _PARTNER, -1), -1):
            if "\n" in units.blank_before(k + 1):
                break
            if units.keys[k] == key and _opens(units, k):
                return True
    return False


def _opens(units: Units, index: int) -> bool:
    text, start, end = units.text, units.starts[index], units.ends[index]
    before = text[start - 1] if start else " "
    behind = text[end] if end < len(text) else " "
    return not behind.isspace() and not _is_inner(before)


def _closes(units: Units, index: int) -> bool:
    text, start, end = units.text, units.starts[index], units.ends[index]
    before = text[start - 1] if start else " "
    behind = text[end] if end < len(text) else " "
    return not before.isspace() and not _is_inner(behind)


def _is_inner(char: str) -> bool:
    """Say whether a character next to a sign makes it a sign inside a word or formula."""
    return (char.isalnum() and ord(char) < 0x2E80) or char in ")}({\\"
