# ruff: noqa: PLR0911 - one return for each kind
"""Compares times of day, ratios, dates, shares and remainders, part by part."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from dfgen.grade.comparing_numbers import Outcome, compare_quantities
from dfgen.grade.decisive import contradict
from dfgen.grade.values import (
    Bound,
    Equation,
    Group,
    Listing,
    Marked,
    Range,
    Scalar,
    Union,
    Value,
    Words,
)  # fmt: skip

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig

_HOUR = 3600


def compare_marked(expected: Marked, found: Value, config: GradeConfig) -> Outcome:
    """Compare with a value of the same mark, or with the one number that the marked one is too."""
    if isinstance(found, Marked):
        return _compare_two_marked(expected, found)
    if (
        isinstance(found, Range)
        and isinstance(found.low, Scalar)
        and isinstance(found.high, Scalar)
    ):
        return Outcome(False, f"a range where a {expected.kind} is expected")
    if isinstance(found, Scalar) and expected.kind == "clock":
        return _compare_hour(expected, found)
    if (
        isinstance(found, Scalar)
        and expected.value is not None
        and not (expected.kind == "ratio" and not is_fraction(found))
    ):
        return compare_quantities(Scalar(expected.value), found, config)
    if isinstance(found, Scalar) and expected.kind == "mod" and found.node.op == "num":
        return Outcome(found.node.value == expected.parts[0], "the remainder without its modulus")
    if isinstance(found, Listing) and expected.kind in {"remainder", "ratio"}:
        return Outcome(False, f"a list where a {expected.kind} is expected")
    if isinstance(found, Bound | Group | Union | Equation | Listing | Words):
        return Outcome(False, f"{type(found).__name__.lower()} where a {expected.kind} is expected")
    return Outcome(False, f"one number where a {expected.kind} is expected")


def _compare_hour(expected: Marked, found: Scalar) -> Outcome:
    """8 o'clock answers 8:00."""
    if (
        found.node.op == "num"
        and (found.unit is None or (found.unit.label == "time" and found.unit.factor == _HOUR))
        and expected.parts == (found.node.value, Fraction(0), Fraction(0))
        and not contradict(expected.words, found.words)
    ):
        return Outcome(True, "the hour")
    return Outcome(False, "one number where a time is expected")


def _compare_two_marked(expected: Marked, found: Marked) -> Outcome:
    kinds = {expected.kind, found.kind}
    if kinds == {"clock"}:
        return _compare_clocks(expected, found)
    if kinds == {"date"}:
        left, right = expected.parts, found.parts
        if expected.words and found.words and expected.words != found.words:
            return Outcome(False, "another day of the week")
        same = left[1:] == right[1:] and (left[0] == right[0] or not left[0])
        return Outcome(same, "dates")
    if kinds == {"date", "written date"}:
        date = (expected if expected.kind == "date" else found).parts
        written = (found if expected.kind == "date" else expected).parts
        orders = {
            (written[2], written[0], written[1]),
            (written[2], written[1], written[0]),
            written,
        }
        return Outcome(date in orders, "dates")
    if kinds == {"ratio", "share"} or len(kinds) == 1:
        return Outcome(expected.parts == found.parts, f"{expected.kind}, part by part")
    return Outcome(False, f"a {found.kind} where a {expected.kind} is expected")


def _compare_clocks(expected: Marked, found: Marked) -> Outcome:
    clash = contradict(expected.words, found.words)
    if clash:
        return Outcome(False, clash)

    def hours(clock: Marked) -> Fraction:
        hour = clock.parts[0]
        if clock.words == ("pm",) and hour < 12:
            return hour + 12
        return Fraction(0) if clock.words == ("am",) and hour == 12 else hour

    rest = expected.parts[1:] == found.parts[1:]
    if bool(expected.words) == bool(found.words):
        return Outcome(rest and hours(expected) == hours(found), "times of day")
    plain, marked = (found, expected) if expected.words else (expected, found)
    same = plain.parts[0] in {marked.parts[0], hours(marked)}
    return Outcome(rest and same, "times of day, one without its half of the day")


def is_fraction(scalar: Scalar) -> bool:
    """Say whether a number is no whole one, so that a ratio may be meant by it."""
    value = scalar.node.value if scalar.node.op == "num" else None
    return value is None or value.denominator != 1
