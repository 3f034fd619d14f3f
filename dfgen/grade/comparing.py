# ruff: noqa: E501, PLR0911, PLR0912 - tables of words, one return for each kind
"""Compares a value that was read with the expected one: by the kind of the expected value.

Every comparison has three outcomes: equal, not equal, and unclear, which asks for algebra.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from dfgen.grade.comparing_marked import compare_marked, is_fraction
from dfgen.grade.comparing_numbers import Outcome, compare_quantities, count_places
from dfgen.grade.decisive import contradict
from dfgen.grade.evaluate import compare_trees, compare_zeros
from dfgen.grade.expression import Node, choose_sign, has_operation, list_names
from dfgen.grade.number_words import read_place
from dfgen.grade.text_form import compare_words
from dfgen.grade.values import (
    INFINITE,
    MINUS_INFINITE,
    About,
    Bound,
    Equation,
    Group,
    Listing,
    Marked,
    Named,
    Negated,
    Range,
    Scalar,
    Union,
    Value,
    Words,
)  # fmt: skip

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig


_ERA = frozenset({"bc", "bce"})
_SET_BRACKETS = {"⦃"}
_MOST_ITEMS = 60
_OPPOSITE_SIGN = {"<": "≥", ">": "≤"}
_TUPLE_OF_NAMES = re.compile(r"\s?\(([^()]{1,60})\)\s?")
_SINGLE_NAME = re.compile(r"[A-Za-zα-ω](?:_\{?\w{1,3}\}?)?'*")


def compare_values(expected: Value, found: Value, config: GradeConfig) -> Outcome:
    """Say whether `found` is `expected`.

    Args:
        expected: the reference answer; its kind decides what is asked.
        found: what a completion states.
        config: tolerances, and what an approximate or unordered answer is worth.
    """
    if isinstance(found, Negated):
        return Outcome(False, "the statement denies or doubts a value")
    if isinstance(expected, About):
        inner = found.value if isinstance(found, About) else found
        return compare_values(expected.value, inner, config)
    if isinstance(found, About):
        return _compare_approximate(expected, found.value, config)
    if isinstance(expected, Named) or isinstance(found, Named):
        return _compare_named(expected, found, config)
    compare = _COMPARERS.get(type(expected))
    if compare is None:
        return Outcome(None, "no comparison for this kind")
    return compare(expected, found, config)


def _compare_approximate(expected: Value, found: Value, config: GradeConfig) -> Outcome:
    inner = expected.value if isinstance(expected, Named) else expected
    rounded = isinstance(inner, Scalar) and count_places(inner.node) not in {0, None}
    outcome = compare_values(expected, found, config)
    if outcome.equal and not (rounded or config.approximate == "accept"):
        return Outcome(
            False, "an approximate value where an exact one is expected (grade.approximate)"
        )
    return outcome


def _normalise_name(name: str) -> str:
    return re.sub(r"[\s{}\\]|left|right", "", name)


def _compare_named(expected: Value, found: Value, config: GradeConfig) -> Outcome:
    if isinstance(expected, Named) and isinstance(found, Named):
        left, right = _normalise_name(expected.name), _normalise_name(found.name)
        if _SINGLE_NAME.fullmatch(left) and re.search(r"[\^+*/]", right):
            return Outcome(False, f"{right} is given, {left} is expected")
        if _SINGLE_NAME.fullmatch(right) and "^" in left:
            return Outcome(False, f"{right} is given, {left} is expected")
        variables = _SINGLE_NAME.fullmatch(left) and _SINGLE_NAME.fullmatch(right)
        alike = isinstance(expected.value, Group) == isinstance(found.value, Group)
        if left != right and variables and alike:
            return Outcome(False, f"{right} is given, {left} is expected")
        return compare_values(expected.value, found.value, config)
    if isinstance(expected, Named):
        if (
            isinstance(found, Bound)
            and found.name
            and _normalise_name(found.name) != _normalise_name(expected.name)
        ):
            return Outcome(False, "another variable")
        return compare_values(expected.value, found, config)
    assert isinstance(found, Named)
    if isinstance(expected, Bound | Union | Equation):
        return compare_values(expected, found.value, config)
    if isinstance(expected, Listing) and any(isinstance(item, Named) for item in expected.items):
        bare = _drop_common_name(expected.items)
        if bare is not None and isinstance(found.value, Listing):  # x = 0, 4
            return compare_values(Listing(tuple(bare)), found.value, config)
        names = _TUPLE_OF_NAMES.fullmatch(found.name)
        if names and isinstance(found.value, Group):  # (x, y) = (2, -1)
            each = [name.strip() for name in names[1].split(",")]
            if len(each) == len(found.value.items):
                named = map(Named, each, found.value.items)
                return compare_values(expected, Listing(tuple(named)), config)
        return Outcome(False, "one value where several are expected")
    return compare_values(expected, found.value, config)


# Numbers -----------------------------------------------------------------------------------------


def _compare_scalar(expected: Scalar, found: Value, config: GradeConfig) -> Outcome:
    if isinstance(found, Listing):
        return _compare_scalar_with_list(expected, found, config)
    if isinstance(found, Range):
        return _compare_scalar_with_range(expected, found, config)
    if isinstance(found, Marked):
        if found.value is None or (found.kind == "ratio" and not is_fraction(expected)):
            return Outcome(False, f"a {found.kind} where one number is expected")
        found = Scalar(found.value, None, found.words)
    if isinstance(found, Group) and found.opening in _SET_BRACKETS:
        return _compare_sets(_expand(expected), list(found.items), config)
    if isinstance(found, Equation):
        return Outcome(False, "an equation where a value is expected")
    if isinstance(found, Words) and (place := read_place(found.text)) is not None:
        found = Scalar(Node("num", value=Fraction(place)), None, ("ordinal",))
    if not isinstance(found, Scalar):
        return Outcome(False, f"{type(found).__name__.lower()} where one number is expected")
    clash = contradict(expected.words, found.words)
    if clash:
        return Outcome(False, clash)
    if _ERA.intersection(found.words) and not _ERA.intersection(expected.words):
        return Outcome(False, "a year of another era")
    if "ordinal" in expected.words and found.unit is not None:
        return Outcome(False, "a quantity where a place is expected")
    if "ordinal" in found.words and not expected.words:
        return Outcome(False, "a place where a number is expected")
    if has_operation(expected.node, "pm") or has_operation(found.node, "pm"):
        return _compare_sets(_expand(expected), _expand(found), config)
    return compare_quantities(expected, found, config)


def _compare_scalar_with_list(expected: Scalar, found: Listing, config: GradeConfig) -> Outcome:
    if has_operation(expected.node, "pm"):
        return _compare_sets(_expand(expected), list(found.items), config)
    outcomes = [compare_values(expected, item, config) for item in found.items]
    if all(outcome.equal for outcome in outcomes):
        return outcomes[0]
    return Outcome(False, "several values where one is expected")


def _compare_scalar_with_range(expected: Scalar, found: Range, config: GradeConfig) -> Outcome:
    """3-1 is a score and 30-39 a range, but 20-10 may also be a difference."""
    if isinstance(found.low, Scalar) and isinstance(found.high, Scalar):
        high, low = found.low.node, found.high.node
        if high.op == "num" and low.op == "num" and high.value > low.value:
            difference = Scalar(Node("num", value=high.value - low.value), found.low.unit)
            return compare_quantities(expected, difference, config)
    return Outcome(False, "a range where one number is expected")


def _expand(scalar: Scalar) -> list[Value]:
    if not has_operation(scalar.node, "pm"):
        return [scalar]
    return [replace(scalar, node=choose_sign(scalar.node, sign)) for sign in (1, -1)]


# Numbers with marks, ranges, bounds ------------------------------------------------------------------


def _compare_range(expected: Range, found: Value, config: GradeConfig) -> Outcome:
    if isinstance(found, Range):
        return _both(
            compare_values(expected.low, found.low, config),
            compare_values(expected.high, found.high, config),
        )
    if isinstance(found, Marked) and found.kind == "ratio" and len(found.parts) == 2:
        ends = [end.node.value for end in (expected.low, expected.high) if isinstance(end, Scalar)]
        return Outcome(tuple(ends) == found.parts, "range or ratio")
    if (isinstance(found, Bound) and found.sign == "..") or (
        isinstance(found, Group) and len(found.items) == 2
    ):
        group = found.value if isinstance(found, Bound) else found
        if isinstance(group, Group):
            return _both(
                *(
                    compare_values(*pair, config)
                    for pair in zip((expected.low, expected.high), group.items, strict=True)
                )
            )
    if (
        isinstance(found, Scalar)
        and isinstance(expected.low, Scalar)
        and isinstance(expected.high, Scalar)
    ):
        high, low = expected.low.node, expected.high.node
        if high.op == low.op == "num" and high.value > low.value:  # 20-10 may be a difference
            return compare_quantities(
                Scalar(Node("num", value=high.value - low.value), expected.low.unit), found, config
            )
    return Outcome(False, "no range")


def _both(*outcomes: Outcome) -> Outcome:
    if any(outcome.equal is False for outcome in outcomes):
        return next(outcome for outcome in outcomes if outcome.equal is False)
    if any(outcome.equal is None for outcome in outcomes):
        return Outcome(None, "a part is unclear")
    return Outcome(True, "equal part by part")


def to_interval(bound: Bound) -> Group | None:
    """Return the interval of a bound, None for ≠."""
    if bound.sign == "..":
        return bound.value if isinstance(bound.value, Group) else None
    ends: dict[str, tuple[str, str, Value, Value]] = {
        ">": ("(", ")", bound.value, INFINITE), "≥": ("[", ")", bound.value, INFINITE),
        "<": ("(", ")", MINUS_INFINITE, bound.value), "≤": ("(", "]", MINUS_INFINITE, bound.value),
    }  # fmt: skip
    if bound.sign not in ends:
        return None
    opening, closing, low, high = ends[bound.sign]
    return Group(opening, closing, (low, high))


def _compare_bound(expected: Bound, found: Value, config: GradeConfig) -> Outcome:
    if isinstance(found, Bound):
        if (
            expected.name
            and found.name
            and _normalise_name(expected.name) != _normalise_name(found.name)
        ):
            return Outcome(False, "another variable")
        if expected.sign != found.sign:
            return Outcome(False, f"{found.sign} where {expected.sign} is expected")
        return compare_values(expected.value, found.value, config)
    if isinstance(found, Group | Union):
        interval = to_interval(expected)
        return (
            Outcome(False, "an interval")
            if interval is None
            else compare_values(interval, found, config)
        )
    if isinstance(found, Equation):
        return Outcome(None, "a relation of another form")
    return Outcome(False, f"no bound: {expected.sign} is expected")


# Several values -------------------------------------------------------------------------------------


def _compare_group(expected: Group, found: Value, config: GradeConfig) -> Outcome:
    unordered = expected.opening in _SET_BRACKETS
    if isinstance(found, Bound):
        interval = to_interval(found)
        if interval is None or not config.math_set_relations:
            return Outcome(
                False, "a relation where an interval is expected (grade.math_set_relations)"
            )
        found = interval
    if isinstance(found, Union):
        return Outcome(None if unordered else False, "a union")
    if isinstance(found, Group):
        if found.opening in _SET_BRACKETS and unordered:
            return _compare_sets(list(expected.items), list(found.items), config)
        if {expected.opening, found.opening} <= {"(", "⟨"} and {
            expected.closing,
            found.closing,
        } <= {")", "⟩"}:
            return _compare_in_order(expected.items, found.items, config)
        if (expected.opening, expected.closing) != (found.opening, found.closing):
            matrix = {expected.opening, found.opening}
            if "matrix" in matrix and matrix & {"(", "[", "⟨"}:
                shapes = {_measure_shape(group) for group in (expected, found)}
                if len(shapes) > 1 and any(min(shape) > 1 for shape in shapes):
                    return Outcome(False, "a matrix of another shape")
                return _compare_in_order(_flatten(expected), _flatten(found), config)
            if len(expected.items) > 2 and matrix == {"(", "["}:
                return _compare_in_order(expected.items, found.items, config)
            return Outcome(
                False,
                f"{found.opening}{found.closing} where {expected.opening}{expected.closing} is expected",
            )
        return _compare_in_order(expected.items, found.items, config)
    if isinstance(found, Listing) and found.link == "and":
        if unordered:
            return _compare_sets(list(expected.items), list(found.items), config)
        if expected.opening not in {"(", "⟨", "matrix"} or expected.closing not in {
            ")",
            "⟩",
            "matrix",
        }:
            return Outcome(False, "values without the brackets that count")
        return _compare_in_order(expected.items, found.items, config)
    if isinstance(found, Listing):
        return (
            _compare_sets(list(expected.items), list(found.items), config)
            if unordered
            else Outcome(False, "alternatives")
        )
    if unordered and isinstance(found, Scalar):
        return _compare_sets(list(expected.items), _expand(found), config)
    return Outcome(
        False, f"{type(found).__name__.lower()} where {len(expected.items)} values are expected"
    )


def _flatten(group: Group) -> tuple[Value, ...]:
    flat: list[Value] = []
    for item in group.items:
        flat.extend(item.items if isinstance(item, Group) else [item])
    return tuple(flat)


def _measure_shape(group: Group) -> tuple[int, int]:
    """Rows and columns; a flat list is one row."""
    rows = [item for item in group.items if isinstance(item, Group)]
    if len(rows) != len(group.items) or not rows:
        return 1, len(group.items)
    return len(rows), len(rows[0].items)


def _compare_listing(expected: Listing, found: Value, config: GradeConfig) -> Outcome:
    items = [
        piece
        for item in expected.items
        for piece in (_expand(item) if isinstance(item, Scalar) else [item])
    ]
    if isinstance(found, Listing):
        others = [
            piece
            for item in found.items
            for piece in (_expand(item) if isinstance(item, Scalar) else [item])
        ]
        if any(isinstance(item, Named) for item in items) and not any(
            isinstance(item, Named) for item in others
        ):
            bare = _drop_common_name(items)
            if bare is not None:
                return _compare_sets(bare, others, config)
            return _compare_in_order(tuple(items), tuple(others), config)
        return _compare_sets(items, others, config)
    if isinstance(found, Group) and found.opening in _SET_BRACKETS:
        return _compare_sets(items, list(found.items), config)
    if isinstance(found, Group) and not any(isinstance(item, Group) for item in items):
        return _compare_in_order(tuple(items), found.items, config)
    if isinstance(found, Scalar) and has_operation(found.node, "pm"):
        return _compare_sets(items, _expand(found), config)
    if isinstance(found, Union) and expected.link == "or":
        return _compare_sets(items, list(found.parts), config)
    if len(items) == 1:
        return compare_values(items[0], found, config)
    alternatives = expected.link == "or" and not any(isinstance(item, Named) for item in items)
    # "0.5 or 1/2" names one value twice.
    if alternatives and all(compare_values(items[0], item, config).equal for item in items[1:]):
        return compare_values(items[0], found, config)
    return Outcome(False, f"one value where {len(items)} are expected")


def _drop_common_name(items: Sequence[Value]) -> list[Value] | None:
    """The values of "x = 0 or x = 4", None where the names differ."""
    named = [item for item in items if isinstance(item, Named)]
    if len(named) != len(items) or len({_normalise_name(item.name) for item in named}) != 1:
        return None
    return [item.value for item in named]


def _compare_union(expected: Union, found: Value, config: GradeConfig) -> Outcome:
    relations = any(isinstance(part, Bound) for part in expected.parts)
    if isinstance(found, Bound | Group | Union):
        parts = list(found.parts) if isinstance(found, Union) else [found]
        if (
            not relations
            and any(isinstance(part, Bound) for part in parts)
            and not config.math_set_relations
        ):
            return Outcome(
                False, "relations where intervals are expected (grade.math_set_relations)"
            )
        wanted = [to_interval(part) if isinstance(part, Bound) else part for part in expected.parts]
        given = [to_interval(part) if isinstance(part, Bound) else part for part in parts]
        if None in wanted or None in given or len(wanted) != len(given):
            return Outcome(None if None in (*wanted, *given) else False, "unions of other parts")
        return _compare_sets(
            [part for part in wanted if part], [part for part in given if part], config
        )
    if isinstance(found, Listing):
        return compare_values(expected, Union(found.items), config)
    return Outcome(False, "no union of sets")


def _compare_in_order(
    expected: Sequence[Value], found: Sequence[Value], config: GradeConfig
) -> Outcome:
    if len(expected) != len(found):
        return Outcome(False, f"{len(found)} values where {len(expected)} are expected")
    for place, (wanted, given) in enumerate(zip(expected, found, strict=True), 1):
        outcome = compare_values(wanted, given, config)
        if not outcome.equal:
            return Outcome(outcome.equal, f"value {place}: {outcome.detail}")
    return Outcome(True, f"{len(expected)} values are equal in order")


def _compare_sets(expected: list[Value], found: list[Value], config: GradeConfig) -> Outcome:
    """Each expected value once, in any order."""
    if len(expected) > _MOST_ITEMS or len(found) > _MOST_ITEMS:
        return _compare_in_order(expected, found, config)
    if len(expected) != len(found):
        return Outcome(False, f"{len(found)} values where {len(expected)} are expected")
    rest = list(found)
    unclear = False
    for wanted in expected:
        for index, given in enumerate(rest):
            outcome = compare_values(wanted, given, config)
            unclear = unclear or outcome.equal is None
            if outcome.equal:
                del rest[index]
                break
        else:
            return Outcome(None if unclear else False, "a value of the list is missing")
    return Outcome(True, f"{len(expected)} values are equal in some order")


# Equations and words ---------------------------------------------------------------------------------


def _compare_equation(expected: Equation, found: Value, config: GradeConfig) -> Outcome:  # noqa: ARG001
    if not isinstance(found, Equation):
        return Outcome(False, "no equation")
    if expected.signs != found.signs:
        return Outcome(
            None if len(expected.signs) == len(found.signs) else False, "relations of another form"
        )
    same = [
        compare_trees(left, right) for left, right in zip(expected.sides, found.sides, strict=True)
    ]
    if all(part == "same" for part in same):
        return Outcome(True, "the same on both sides")
    if expected.signs == ("=",):
        zeros = [
            Node("add", (side.sides[0], Node("neg", (side.sides[1],))))
            for side in (expected, found)
        ]
        if list_names(zeros[0]) != list_names(zeros[1]):
            return Outcome(False, "equations in other variables")
        sameness = compare_zeros(zeros[0], zeros[1])
        return Outcome(
            {"same": True, "different": False, "unclear": None}[sameness],
            f"equations are {sameness}",
        )
    return Outcome(None, "relations of another form")


def _compare_words(expected: Words, found: Value, config: GradeConfig) -> Outcome:  # noqa: ARG001
    if not isinstance(found, Words):
        return Outcome(False, "no words")
    agreement = compare_words(found.text, expected.text)
    return Outcome(agreement is not None, agreement or "other words")


def _compare_negated(expected: Negated, found: Value, config: GradeConfig) -> Outcome:  # noqa: ARG001
    return Outcome(False, f"{type(found).__name__.lower()}, and the reference is a denial")


_COMPARERS: dict[type, Callable[..., Outcome]] = {
    Scalar: _compare_scalar, Marked: compare_marked, Range: _compare_range, Bound: _compare_bound,
    Group: _compare_group, Listing: _compare_listing, Union: _compare_union, Equation: _compare_equation,
    Words: _compare_words, Negated: _compare_negated,
}  # fmt: skip
