"""Defines what an answer can be: a value of one of these kinds, read as a whole.

Scalar     5, -3/4, 24 cm, $5.25, 2√2 m, 2x + 1, twenty-five apples, 2 h 30 min
Marked     numbers that a mark or word joins: 7:30, 2:1, 3/4/2020, 52_8, 3 out of 5, 5 × 7, 3 R 2
Range      30-39, 20 to 29, 5~6
Bound      > 5, at least 5, x ≠ 5
About      about 5, ≈ 5
Negated    not 5
Group      (1, 2), [2, 5), {1, 2}, a matrix of rows
Listing    1, 2, 3; 3 and 5; 5 or 6
Union      (-∞, 2) ∪ (3, ∞)
Named      x = 5, f(x) = x^2, A(2, 3)
Equation   2x - y + 3 = 0
Words      Paris
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from dfgen.grade.expression import Node
from dfgen.grade.units import Unit


@dataclass(frozen=True, slots=True)
class Scalar:
    """One number or expression.

    Args:
        node: the tree of its value, scale words and number words applied, unit not.
        unit: what it is measured in; None where nothing known is written.
        words: other words that stand at it, in lower case: ("apples",), ("p.m.",).
        plain: whether it is written as one number, not as a calculation.
        note: how an ambiguous writing was understood.
        places: decimal places as written, zeros included; None where it is no plain decimal.
    """

    node: Node
    unit: Unit | None = None
    words: tuple[str, ...] = ()
    plain: bool = False
    note: str = ""
    places: int | None = None


INFINITE = Scalar(Node("const", name="inf"))
MINUS_INFINITE = Scalar(Node("neg", (Node("const", name="inf"),)))


@dataclass(frozen=True, slots=True)
class Marked:
    """Numbers that stand in a fixed order with a mark that says what they are.

    Args:
        kind: clock, ratio, date, serial, base, mod, remainder, share, product.
        parts: the numbers, or trees, in order.
        words: words at it: ("a.m.",).
        value: the tree of the one number that it also is, where it is one: 5 × 7 is 35.
    """

    kind: str
    parts: tuple[Fraction, ...]
    words: tuple[str, ...] = ()
    value: Node | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """From one value to another."""

    low: Value
    high: Value


@dataclass(frozen=True, slots=True)
class Bound:
    """A value that is not reached, or not passed, or excluded: > ≥ < ≤ ≠."""

    sign: str
    value: Value
    name: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """A value that is said to be approximate."""

    value: Value


@dataclass(frozen=True, slots=True)
class Negated:
    """A value that is said to be wrong."""

    text: str


@dataclass(frozen=True, slots=True)
class Group:
    """Values in brackets. The brackets count: (1, 2) is no [1, 2] and no {1, 2}."""

    opening: str
    closing: str
    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """Several values: all of them (and), or one of them (or)."""

    items: tuple[Value, ...]
    link: Literal["and", "or"] = "and"


@dataclass(frozen=True, slots=True)
class Union:
    """Intervals or sets joined by ∪ or "or"."""

    parts: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """A value with the name of what has it."""

    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class Equation:
    """Two sides, or more, of which at least one is not the name of the other."""

    sides: tuple[Node, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """Text without mathematics."""

    text: str


Value = (
    Scalar
    | Marked
    | Range
    | Bound
    | About
    | Negated
    | Group
    | Listing
    | Union
    | Named
    | Equation
    | Words
)
