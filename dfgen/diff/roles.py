"""Tell a root mistake from what only follows from it.

Most of what a repair changes is no mistake of its own: a copied count, a sum, the final answer.
Such a hunk carries a value that an earlier hunk changed, or the result of arithmetic on one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from dfgen.diff.form import read_number
from dfgen.diff.hunks import Role

#: One change of text, as (wrong text, right text).
Texts = tuple[str, str]

_NUMBER = re.compile(
    r"(?<![\w.])[-−]?(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+/\d+|\d+(?:\.\d+)?|\.\d+)"
    r"|\\[dtc]?frac\{\d+\}\{\d+\}"
)
_OPERATORS = re.compile(r"\s*(\\times|\\cdot|\\div|plus|minus|times|[-+*/×·÷−x])\s*")
_EQUALS = re.compile(r"(?:=|\bis\b|\bequals\b|\bgives\b|\bmakes\b|≈)\s*[$(*]*\s*$")


def find_numbers(text: str) -> list[str]:
    """Return the numbers in a text, as written."""
    return [match[0] for match in _NUMBER.finditer(text)]


def read_value(text: str) -> Fraction | None:
    """Return the exact value of a number with an optional sign, or None."""
    negative = text[:1] in {"-", "−"}
    value = read_number(text[1:] if negative else text)
    return -value if negative and value is not None else value


def assign_roles(changes: Sequence[Texts], read_before: Callable[[int], Texts]) -> list[Role]:
    """Say of each change whether it is a root or a consequence of those before it.

    Args:
        changes: the texts of each hunk in the mask, in order.
        read_before: returns what stands before a change in its line, on both sides.
    """
    roles: list[Role] = []
    texts: set[Texts] = set()
    values: set[tuple[Fraction, Fraction]] = set()
    for index, change in enumerate(changes):
        old, new = (side.strip().casefold() for side in change)
        pairs = _pair_numbers(*change)
        copied = bool(old and new) and (old, new) in texts
        carried = (
            bool(pairs)
            and bool(texts)
            and all(pair in values or _follows(pair, read_before(index), values) for pair in pairs)
        )
        follows = bool(texts) and (copied or (carried and _only_numbers(*change)))
        roles.append("consequence" if follows else "root")
        texts.add((old, new))
        values.update(pairs)
    return roles


def _pair_numbers(old: str, new: str) -> list[tuple[Fraction, Fraction]]:
    if not old or not new:
        return []
    old_values = [read_value(number) for number in find_numbers(old)]
    new_values = [read_value(number) for number in find_numbers(new)]
    if len(old_values) != len(new_values):
        return []
    return [
        (a, b)
        for a, b in zip(old_values, new_values, strict=True)
        if a is not None and b is not None
    ]


def _only_numbers(old: str, new: str) -> bool:
    """Say whether nothing but the numbers changed."""
    return _NUMBER.sub("0", old).split() == _NUMBER.sub("0", new).split()


def _follows(
    pair: tuple[Fraction, Fraction], context: Texts, values: set[tuple[Fraction, Fraction]]
) -> bool:
    """Say whether a value is the result of the expression in front of it, on both sides.

    The wrong expression must give the old value and the right one the new value: the arithmetic
    was right, its inputs were not.
    """
    results = [_evaluate_tail(side) for side in context]
    if results[0] is not None and results[1] is not None:
        return (results[0], results[1]) == pair
    old, new = pair
    changed = sorted(values)
    return any(
        (a + c, b + d) == pair or (a * c, b * d) == pair or (a - c, b - d) == pair
        for a, b in changed
        for c, d in changed
        if (a, b) != (c, d) and old != new
    )


def _evaluate_tail(text: str) -> Fraction | None:
    """Evaluate the expression that stands before an equals sign (or "is") at the end of a text."""
    match = _EQUALS.search(text[-200:])
    if not match:
        return None
    head = text[-200:][: match.start()]
    found = list(_NUMBER.finditer(head))
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


def _calculate(values: Sequence[Fraction | None], signs: Sequence[str]) -> Fraction | None:
    """Evaluate v0 s0 v1 s1 v2 ... with the usual precedence."""
    if any(value is None for value in values):
        return None
    known = [value for value in values if value is not None]
    total, term = Fraction(0), known[0]
    for sign, value in zip(signs, known[1:], strict=True):
        if sign in {"+", "plus"}:
            total, term = total + term, value
        elif sign in {"-", "−", "minus"}:
            total, term = total + term, -value
        elif sign in {"/", "÷", "\\div"}:
            if value == 0:
                return None
            term /= value
        else:
            term *= value
    return total + term
