# ruff: noqa: PLR0911 - tables of words, one return for each kind
"""Decides when two numbers are near enough: exact if both are written out, else by rounding."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from dfgen.grade.evaluate import Value, is_close

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig

_PRECISION = 6  # decimal places of the default; who asks for fewer wants rounding
ROUNDING = 1e-5
"""A relative tolerance up to this size only forgives rounding: 1000001 is not 1000000."""


def is_near(found: Value, expected: Value, places: list[int | None], config: GradeConfig) -> bool:
    """Say whether two values are the same within the tolerances.

    Args:
        found, expected: exact fractions, or complex numbers in floating point.
        places: decimal places of the expected and of the found number as written; None: it is a
            fraction or an expression.
        config: the tolerances.
    """
    if found == expected:
        return True
    if isinstance(found, Fraction) and isinstance(expected, Fraction):
        distance: Fraction | float = abs(found - expected)
    else:
        if is_close(found, expected):
            return True
        distance = abs(complex(found) - complex(expected))
    if config.absolute_tolerance and distance <= config.absolute_tolerance:
        return True
    if config.math_precision < _PRECISION and None in places:
        return bool(distance <= Fraction(1, 2 * 10**config.math_precision))
    if distance > find_limit(expected, config):
        return False
    if config.relative_tolerance > ROUNDING:
        return True
    known = [count for count in places if count is not None]
    if not known:
        return False
    return distance < Fraction(10) ** -min(known)


def find_limit(expected: Value, config: GradeConfig) -> Fraction:
    """Find the distance that is still near, relative to the expected number however tiny."""
    size = abs(expected) if isinstance(expected, Fraction) else Fraction(abs(complex(expected)))
    return Fraction(config.relative_tolerance) * max(size, min(Fraction(1), 10 * size))


def show_number(value: Value) -> str:
    """Return a short decimal form; values beyond float are shown as a power."""
    if not isinstance(value, Fraction):
        number = complex(value)
        return f"{number.real:.10g}" if not number.imag else f"{number:.6g}"
    try:
        return f"{float(value):.10g}"
    except OverflowError:
        power = (abs(value.numerator).bit_length() - value.denominator.bit_length()) * 0.30103
        return f"about {'-' if value < 0 else ''}1e+{int(power)}"


def describe_distance(found: Value, expected: Value, near: bool, config: GradeConfig) -> str:
    """Return the comparison as a clause of evidence."""
    limit = max(find_limit(expected, config), Fraction(config.absolute_tolerance))
    relation = (
        "<="
        if near
        else ">"
        if found != expected and _exceeds(found, expected, limit)
        else "is no rounding within"
    )
    return f"|{show_number(found)} - {show_number(expected)}| {relation} {show_number(limit)}"


def _exceeds(found: Value, expected: Value, limit: Fraction) -> bool:
    if isinstance(found, Fraction) and isinstance(expected, Fraction):
        return abs(found - expected) > limit
    return abs(complex(found) - complex(expected)) > float(limit)
