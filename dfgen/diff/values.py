"""Finds numbers in a text, and what simple arithmetic on them gives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from dfgen.diff.number_form import read_number

Value = int | Fraction

NUMBER = re.compile(
    r"(?<![\w.])[-−]?(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+/\d+|\d+(?:\.\d+)?|\.\d+)"
    r"|\\[dtc]?frac\{\d+\}\{\d+\}"
)
_OPERATORS = re.compile(r"\s*(\\times|\\cdot|\\div|plus|minus|times|[-+*/×·÷−x])\s*")
_EQUALS = re.compile(r"(?:[=≈]|\b(?:is|equals|gives|makes))\Z")
_LONGEST_EQUALS = 6


def find_numbers(text: str) -> list[str]:
    """Return the numbers in a text, as written."""
    return NUMBER.findall(text)


@lru_cache(maxsize=65536)
def read_value(text: str) -> Value | None:
    """Return the exact value of a number with an optional sign, or None."""
    negative = text[:1] in {"-", "−"}
    value = read_number(text[1:] if negative else text)
    if value is None:
        return None
    # Whole numbers, which most are, as int: Fractions are compared and added in Python.
    exact: Value = value.numerator if value.denominator == 1 else value
    return -exact if negative else exact


def evaluate_tail(text: str) -> Value | None:
    """Evaluate the expression that stands before an equals sign (or "is") at the end of a text."""
    text = text.rstrip().rstrip("$(*").rstrip()
    match = _EQUALS.search(text, max(0, len(text) - _LONGEST_EQUALS))
    if not match:
        return None
    head = text[: match.start()]
    # Finding all the numbers takes long, and most sentences end with a word.
    if not head.rstrip(" )$}")[-1:].isdecimal():
        return None
    found = list(NUMBER.finditer(head))
    if not found or head[found[-1].end() :].strip(" )$}"):
        return None
    terms = [found[-1]]
    signs: list[str] = []
    for number in reversed(found[:-1]):
        between = head[number.end() : terms[0].start()]
        operator = _OPERATORS.fullmatch(between)
        if operator is None:
            break
        terms.insert(0, number)
        signs.insert(0, operator[1])
    return _calculate([read_value(term[0]) for term in terms], signs) if signs else None


def find_operands(text: str, start: int, end: int) -> list[Value]:
    """Return the operands of the expression that characters [start, end) are part of.

    Nothing if they stand in none, or if an operand cannot be read.
    """
    numbers = list(NUMBER.finditer(text))
    inside = [k for k, n in enumerate(numbers) if n.start() < end and n.end() > start]
    if not inside:
        return []
    first, last = inside[0], inside[-1]

    def are_joined(k: int) -> bool:
        return bool(_OPERATORS.fullmatch(text[numbers[k].end() : numbers[k + 1].start()]))

    while first > 0 and are_joined(first - 1):
        first -= 1
    while last + 1 < len(numbers) and are_joined(last):
        last += 1
    values = [read_value(number[0]) for number in numbers[first : last + 1]]
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else []


def _calculate(values: Sequence[Value | None], signs: Sequence[str]) -> Value | None:
    """Evaluate v0 s0 v1 s1 v2 ... with the usual precedence."""
    if any(value is None for value in values):
        return None
    known = [value for value in values if value is not None]
    total: Value = 0
    term = known[0]
    for sign, value in zip(signs, known[1:], strict=True):
        if sign in {"+", "plus"}:
            total, term = total + term, value
        elif sign in {"-", "−", "minus"}:
            total, term = total + term, -value
        elif sign in {"/", "÷", "\\div"}:
            if value == 0:
                return None
            term = divide(term, value)
        else:
            term *= value
    return total + term


def divide(top: Value, bottom: Value) -> Value:
    """Return the exact quotient, whole if it can be."""
    whole, rest = divmod(top, bottom)
    return Fraction(top) / bottom if rest else whole
