r"""Reads numbers exactly, and tells a number from digits that are a name (version 1.10)."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache

from dfgen.diff.atoms import Units
from dfgen.diff.letter_case import UNIT_SYMBOL, list_words

#: Longer rows of digits are compared as text.
_LONGEST_NUMBER = 60
_FRACTION = re.compile(r"\\[dtc]?frac(?:\{(\d+)\}\{(\d+)\}|\s?(\d)\s?(\d))")
_GROUPING = re.compile(r"\{,\}|\\,|[,，\u00a0\u202f\u2009]")
_PLAIN = re.compile(r"(\d*)(?:\.(\d*))?")
#: What stands before a number that is a name.
_NAMED = list_words(
    "version versions v ver release section sections sec chapter ch figure figures fig table tables"
    " tab exercise problem example theorem lemma corollary definition proposition equation eq"
    " eqn appendix part page paragraph item no nr rule step question article clause"
    " python cuda ubuntu ios android macos windows java node django numpy pytorch linux kernel"
    " debian fedora php ruby go rust gcc clang http tls ssl usb bluetooth gpt llama qwen"
    " § §§ 版本 第 章 节 图 表 kapitel abschnitt abbildung tabelle версія версия розділ"
)
#: What a number may touch and still be all there is: it ends a claim, opens one, or is its unit.
_TOUCHED_BEFORE = frozenset("([=<>≈≤≥≠$€£¥\"'“‘«-−–+±~:,;*")
_TOUCHED_BEHIND = frozenset(".,;:!?)]%‰°$€£¥\"'”’»=<>*\\")


@lru_cache(maxsize=65536)  # the same few numbers come again and again
def read_number(text: str) -> Fraction | None:
    r"""Return the exact value of a number unit (1,234.50, 3/4, \frac{3}{4}, 1.5e-3), or None."""
    if len(text) > _LONGEST_NUMBER:
        return None
    fraction = _FRACTION.fullmatch(text)
    if fraction:
        parts = [part for part in fraction.groups() if part is not None]
    elif text[:1].isdigit() or text[:1] == ".":
        parts = _GROUPING.sub("", text).split("/")
    else:
        return None
    try:
        values = [Decimal(part) for part in parts]
    except InvalidOperation:
        return None
    # Exponents beyond this would make a Fraction of a million digits.
    if len(values) > 2 or any(abs(value.adjusted()) > 60 for value in values):
        return None
    top, bottom = Fraction(values[0]), Fraction(values[1]) if len(values) == 2 else Fraction(1)
    return top / bottom if bottom else None


def read_number_form(units: Units, index: int) -> tuple[str, ...]:
    """Return what a unit of digits says: groups of three digits, then the rest.

    Groups, because `10 000` is two units and says what `10,000` says. Zeros at the end of a
    decimal say nothing in a number that stands for itself.
    """
    key = units.keys[index]
    fraction = _FRACTION.fullmatch(key)
    if fraction:
        top, bottom = (part for part in fraction.groups() if part is not None)
        return (*_read_groups(top, False), "/", *_read_groups(bottom, False))
    text = key if key.isascii() else unicodedata.normalize("NFKC", _GROUPING.sub("", key))
    # Only the zeros behind a point depend on what stands around.
    whole = "." in text and not _is_part(units, index) and not is_name(units, index)
    if text.count("/") == 1 and not text.endswith("/"):
        top, _, bottom = text.partition("/")
        return (*_read_groups(top, False), "/", *_read_groups(bottom, False))
    return _read_groups(text, whole)


def _read_groups(text: str, whole: bool) -> tuple[str, ...]:
    plain = _GROUPING.sub("", text)
    match = _PLAIN.fullmatch(plain)
    if match is None:
        return (plain.casefold(),)
    digits, rest = match[1], match[2]
    if whole and rest is not None:
        rest = rest.rstrip("0")
        digits = digits or "0"
    first = len(digits) % 3
    groups = [digits[:first]] if first else []
    groups += [digits[k : k + 3] for k in range(first, len(digits), 3)]
    if rest or (rest is not None and not whole):
        groups.append(f".{rest}")
    return tuple(groups)


def is_name(units: Units, index: int) -> bool:
    """Say whether digits are the name of something (section 3.10, v1.2.3) and no quantity."""
    key = units.keys[index]
    if key.count(".") > 1:
        return True
    at = index - 1
    if at >= 0 and units.keys[at] in {".", ":"} and units.starts[index] > units.ends[at]:
        at -= 1  # "Fig. 3.10"
    if at < 0:
        return False
    word = units.keys[at]
    if word.casefold() in _NAMED:
        return True
    return at > 0 and word in {"(", "#"} and units.keys[at - 1].casefold() in _NAMED


def _is_part(units: Units, index: int) -> bool:
    """Say whether digits touch something that makes them part of a larger expression."""
    text, start, end = units.text, units.starts[index], units.ends[index]
    before = text[start - 1] if start else " "
    behind = text[end] if end < len(text) else " "
    if not (before.isspace() or before in _TOUCHED_BEFORE or ord(before) > 0x2E80):
        opens_box = before == "{" and index > 1 and units.keys[index - 2] in {"\\boxed", "\\text"}
        if not opens_box:
            return True
    if before in "-−–:*" and start > 1 and (text[start - 2].isalnum() or text[start - 2] in ")]}"):
        return True
    if behind.isspace() or behind in _TOUCHED_BEHIND or ord(behind) > 0x2E80:
        if behind in ".:*" and end + 1 < len(text):
            return text[end + 1].isalnum()
        return False
    if behind == "}":
        return before != "{"
    return not (behind.isalpha() and index + 1 < len(units) and _is_unit_word(units, index + 1))


def _is_unit_word(units: Units, index: int) -> bool:
    key = units.keys[index]
    return len(key) > 1 or UNIT_SYMBOL.fullmatch(key) is not None
