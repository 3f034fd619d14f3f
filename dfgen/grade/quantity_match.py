"""Are two quantities the same? Tolerances, percent signs and units."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from dfgen.grade.quantity import Quantity

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig


class Match(NamedTuple):
    """The decision and one clause of evidence."""

    equal: bool
    detail: str


def show_number(value: Fraction) -> str:
    """Return a short decimal form; values beyond float are shown as a power."""
    try:
        return f"{float(value):.10g}"
    except OverflowError:
        power = len(str(abs(value.numerator) // value.denominator)) - 1
        return f"about {'-' if value < 0 else ''}1e+{power}"


def match_quantities(found: Quantity, expected: Quantity, config: GradeConfig) -> Match:
    """Compare what a completion states with what is expected.

    A percent sign that only one side has is left out of the comparison, or applied where that makes
    the values equal (50 % = 0.5), because reference answers often drop it. So it is with units; two
    known units must be of one kind (`units: check`), and are converted.
    """
    left, right, note = found.value, expected.value, ""
    if config.units == "check" and found.unit and expected.unit:
        if found.unit.kind != expected.unit.kind:
            return Match(
                False,
                f"units differ in kind: {found.unit.kind[0]} and {expected.unit.kind[0]}"
                if found.unit.kind[0] != expected.unit.kind[0]
                else f"units differ in power: {found.unit.kind[1]} and {expected.unit.kind[1]}",
            )
        if found.unit.factor != expected.unit.factor:
            left = left * found.unit.factor / expected.unit.factor
            note = "units converted"
    elif bool(found.unit) != bool(expected.unit):
        note = "unit on one side only, not compared"
    if found.percent != expected.percent:
        as_written = _is_near(left, right, config)
        applied = _is_near(
            left / 100 if found.percent else left,
            right / 100 if expected.percent else right,
            config,
        )
        if applied and not as_written:
            left = left / 100 if found.percent else left
            right = right / 100 if expected.percent else right
            note = "percent sign applied"
        else:
            note = "percent sign on one side only, not compared"
    equal = _is_near(left, right, config)
    limit = max(
        Fraction(config.absolute_tolerance), Fraction(config.relative_tolerance) * abs(right)
    )
    relation = "<=" if equal else ">"
    clause = f"|{show_number(left)} - {show_number(right)}| {relation} {show_number(limit)}"
    return Match(equal, f"{clause} ({note})" if note else clause)


def _is_near(left: Fraction, right: Fraction, config: GradeConfig) -> bool:
    distance = abs(left - right)
    return distance <= Fraction(config.absolute_tolerance) or (
        distance <= Fraction(config.relative_tolerance) * abs(right)
    )
