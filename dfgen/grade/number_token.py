"""Reads one written number: which separator is the decimal mark?

    1,5      comma, decimal (two digits are no group of three)
    1,500    ambiguous: fifteen hundred in English, one and a half in German
    1.500,5  the last separator is the decimal mark, the others group
    1 500    spaces and apostrophes only ever group

The Unicode locale data (CLDR) list the marks of languages; the rules here use what the number
itself shows before any guess about the language.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal, NamedTuple

Mark = Literal["point", "comma"]

# One character at a time with short look-aheads: linear in the length of the text.
TOKEN = re.compile(
    r"(?:\d|[.,](?=\d))"
    r"(?:\d|[.,'_](?=\d)| (?=\d{3}(?!\d)))*"
)
MAX_DIGITS = 300
_GROUPED = re.compile(r"\d{1,3}(?:([ '_.,])\d{3})(?:\1\d{3})*")
_INDIAN = re.compile(r"\d{1,2}(?:,\d{2})+,\d{3}")


class ReadNumber(NamedTuple):
    """The exact value, and a note for people where the writing was ambiguous."""

    value: Fraction
    note: str


def _is_grouped(digits: str) -> bool:
    return bool(_GROUPED.fullmatch(digits) or _INDIAN.fullmatch(digits))


def _make(whole: str, decimals: str) -> Fraction | None:
    whole = re.sub(r"\D", "", whole)
    if len(whole) + len(decimals) > MAX_DIGITS:
        return None
    return Fraction(int((whole + decimals) or "0"), 10 ** len(decimals))


def find_decided_mark(token: str) -> Mark | None:
    """Return the decimal mark that the number itself shows, None where it shows none."""
    points, commas = token.count("."), token.count(",")
    if points and commas:
        return "point" if token.rfind(".") > token.rfind(",") else "comma"
    if points + commas != 1:
        return None
    mark = "." if points else ","
    whole, _, decimals = token.partition(mark)
    if len(decimals) == 3 and len(whole) <= 3 and not whole.startswith("0") and whole:
        return None
    return "point" if points else "comma"


def read_number(token: str, mark: Mark) -> ReadNumber | None:
    """Return the value of `token` (a match of TOKEN in folded text), None where it is no number.

    Args:
        token: digits with separators, no sign.
        mark: the decimal mark to assume where the number can be read in two ways.
    """
    decided = find_decided_mark(token)
    separator = _choose_separator(token, decided, mark)
    if separator and token.count(separator) > 1:
        return None
    whole, _, decimals = token.partition(separator) if separator else (token, "", "")
    if (decimals and not decimals.isdigit()) or (
        whole and not whole.isdigit() and not _is_grouped(whole)
    ):
        return None
    value = _make(whole, decimals)
    if value is None:
        return None
    ambiguous = decided is None and token.count(".") + token.count(",") == 1
    return ReadNumber(value, f"{token} read as {float(value):.10g}" if ambiguous else "")


def _choose_separator(token: str, decided: Mark | None, mark: Mark) -> str:
    if decided is not None:
        return "." if decided == "point" else ","
    if token.count(".") + token.count(",") != 1:
        return ""
    assumed = "." if mark == "point" else ","
    return assumed if assumed in token else ""
