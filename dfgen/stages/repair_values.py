r"""The same value in another form: 0.5, 1/2, \frac{1}{2}, 50 %, five."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

_DIGITS = r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d{1,20})?|\d{1,20}(?:\.\d{1,20})?|\.\d{1,20}"
_NUMBER = re.compile(
    r"(?<![\w.\\])(?P<sign>[-−]\s?)?"
    r"(?:\\[dtc]?frac\{(?P<top>\d{1,12})\}\{(?P<bottom>\d{1,12})\}"
    rf"|(?P<number>{_DIGITS})(?:\s?/\s?(?P<over>\d{{1,12}})(?![\d.]))?)"
    r"(?![\w])(?P<percent>\s?\\?%)?"
)
_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve"),
)
_WORD = re.compile(rf"\b(?:{'|'.join(_WORDS)})\b", re.IGNORECASE)


class Value(NamedTuple):
    """A number in a text: its place in characters and the values it may stand for."""

    start: int
    end: int
    values: frozenset[Fraction]


def find_values(text: str) -> list[Value]:
    """Find the numbers of a text in order. A percentage stands for both 50 and 0.5."""
    found = [Value(m.start(), m.end(), _read(m)) for m in _NUMBER.finditer(text)]
    found += [
        Value(m.start(), m.end(), frozenset({Fraction(_WORDS.index(m[0].lower()))}))
        for m in _WORD.finditer(text)
    ]
    return sorted(found)


def find_equal(text: str, answer: str) -> list[tuple[int, int]]:
    """Find where a text states an answer: a number in any form, else the words themselves.

    Returns:
        Places in characters. Empty for answers that say nothing by themselves (one letter).
    """
    wanted = [value for value in find_values(answer) if _is_whole(value, answer)]
    if wanted:
        return [(v.start, v.end) for v in find_values(text) if v.values & wanted[0].values]
    words = answer.strip()
    if len(words) < 3:
        return []
    pattern = re.compile(rf"(?<!\w){re.escape(words)}(?!\w)", re.IGNORECASE)
    return [match.span() for match in pattern.finditer(text)]


def _is_whole(value: Value, answer: str) -> bool:
    """Whether an answer is this number, give or take a unit."""
    rest = answer[: value.start] + answer[value.end :]
    return sum(char.isalnum() for char in rest) <= 4


def _read(match: re.Match[str]) -> frozenset[Fraction]:
    if match["top"]:
        bottom = int(match["bottom"])
        value = Fraction(int(match["top"]), bottom) if bottom else Fraction(int(match["top"]))
    else:
        value = Fraction(match["number"].replace(",", ""))
        if match["over"] and int(match["over"]):
            value /= int(match["over"])
    if match["sign"]:
        value = -value
    return frozenset({value, value / 100} if match["percent"] else {value})
