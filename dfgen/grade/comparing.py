"""Comparing a value that was read with the expected one: by the kind of the expected value.

Every comparison has three outcomes: equal, not equal, and unclear, which asks for algebra.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from dfgen.grade.decisive import contradict
from dfgen.grade.evaluate import Unvalued, compare_trees, compare_zeros, evaluate
from dfgen.grade.expression import Node, choose_sign, has_operation, list_names, read_expression
from dfgen.grade.nearness import describe_distance, is_near
from dfgen.grade.text_form import compare_words
from dfgen.grade.units import Unit
from dfgen.grade.values import (
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


class Outcome(NamedTuple):
    """The decision, None where only algebra could tell, and one clause of evidence."""

    equal: bool | None
    detail: str


_SET_BRACKETS = {"⦃"}
_PLACES_TRIED = 40
_MOST_ITEMS = 60
_OPPOSITE_SIGN = {"<": "≥", ">": "≤"}
_SINGLE_NAME = re.compile(r"[A-Za-zα-ω](?:_\{?\w{1,3}\}?)?'*")
_GENERIC = frozenset(
    "unit units total in all the a an of is are altogether approximately about exactly only now there and per each"
    " long wide high tall deep away apart large people person item items thing things time times number answer value"
    " square cubic sq cu squared old left remaining more less fewer different whole exactly off ordinal place".split()
)


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
    rounded = isinstance(inner, Scalar) and _count_places(inner.node) not in {0, None}
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
        if left != right and _SINGLE_NAME.fullmatch(left) and _SINGLE_NAME.fullmatch(right):
            if isinstance(expected.value, Group) == isinstance(found.value, Group):
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
        return Outcome(False, "one value where several are expected")
    return compare_values(expected, found.value, config)


# Numbers -----------------------------------------------------------------------------------------


def _count_places(node: Node) -> int | None:
    """Decimal places of a written number; None for fractions and expressions."""
    if node.op == "neg":
        return _count_places(node.args[0])
    if node.op != "num":
        return None
    bottom, places = node.value.denominator, 0
    while bottom != 1 and places < _PLACES_TRIED:
        bottom, rest = divmod(bottom, 10)
        if rest:
            bottom = (bottom * 10 + rest) // _shared(bottom * 10 + rest)
        places += 1
    return places if bottom == 1 else None


def _shared(bottom: int) -> int:
    return (
        10 if bottom % 10 == 0 else 5 if bottom % 5 == 0 else 2 if bottom % 2 == 0 else bottom + 1
    )


def _compare_scalar(expected: Scalar, found: Value, config: GradeConfig) -> Outcome:
    if isinstance(found, Listing):
        return _compare_scalar_with_list(expected, found, config)
    if isinstance(found, Range):
        return _compare_scalar_with_range(expected, found, config)
    if isinstance(found, Marked):
        if found.value is None or (found.kind == "ratio" and not _is_fraction(expected)):
            return Outcome(False, f"a {found.kind} where one number is expected")
        found = Scalar(found.value, None, found.words)
    if isinstance(found, Equation):
        return Outcome(False, "an equation where a value is expected")
    if not isinstance(found, Scalar):
        return Outcome(False, f"{type(found).__name__.lower()} where one number is expected")
    clash = contradict(expected.words, found.words)
    if clash:
        return Outcome(False, clash)
    if has_operation(expected.node, "pm") or has_operation(found.node, "pm"):
        return _compare_sets(_expand(expected), _expand(found), config)
    return _compare_quantities(expected, found, config)


def _is_fraction(scalar: Scalar) -> bool:
    value = scalar.node.value if scalar.node.op == "num" else None
    return value is None or value.denominator != 1


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
            return _compare_quantities(expected, difference, config)
    return Outcome(False, "a range where one number is expected")


def _expand(scalar: Scalar) -> list[Value]:
    if not has_operation(scalar.node, "pm"):
        return [scalar]
    return [replace(scalar, node=choose_sign(scalar.node, sign)) for sign in (1, -1)]


def _compare_quantities(expected: Scalar, found: Scalar, config: GradeConfig) -> Outcome:
    factor, note, clash = _match_units(expected, found, config)
    if clash is not None:
        return clash
    names = list_names(expected.node) | list_names(found.node)
    if names:
        if not list_names(expected.node) or not list_names(found.node):
            sameness = compare_trees(expected.node, found.node)
            return Outcome(
                None if sameness == "unclear" else sameness == "same", "variables on one side only"
            )
        if factor != 1:
            found = replace(found, node=Node("mul", (found.node, Node("num", value=factor))))
        sameness = compare_trees(expected.node, found.node)
        if sameness == "different" and not config.math_strict:
            return Outcome(None, "names of variables do not matter (grade.math_strict)")
        return Outcome(
            None if sameness == "unclear" else sameness == "same", f"expressions are {sameness}"
        )
    try:
        pairs = {
            (evaluate(expected.node, None, base), evaluate(found.node, None, base))
            for base in (10.0, 2.718281828459045)
        }
    except Unvalued:
        same = _compare_infinite(expected.node, found.node)
        return Outcome(same, "infinite or too large to evaluate")
    best: Outcome | None = None
    for right, left in pairs:
        left = left * factor if isinstance(left, Fraction) else left * float(factor)
        places = [_count_places(node) for node in (expected.node, found.node)]
        if factor != 1:
            places[1] = None
        candidates = [(left, note)]
        if note == "percent":
            candidates = [(left, "percent sign on one side only, not compared")]
            percent_found = found.unit is not None
            applied = left / 100 if percent_found else left * 100
            candidates.append((applied, "percent sign applied"))
        for value, remark in candidates:
            near = is_near(value, right, places, config)
            clause = describe_distance(value, right, near, config)
            outcome = Outcome(near, f"{clause} ({remark})" if remark else clause)
            if near:
                return outcome
            best = best or outcome
    assert best is not None
    return best


def _compare_infinite(left: Node, right: Node) -> bool | None:
    def sign_of_infinity(node: Node) -> int:
        if node.op == "const" and node.name == "inf":
            return 1
        return -sign_of_infinity(node.args[0]) if node.op == "neg" else 0

    signs = sign_of_infinity(left), sign_of_infinity(right)
    if 0 not in signs:
        return signs[0] == signs[1]
    return None if signs == (0, 0) else False


def _is_percent(unit: Unit | None) -> bool:
    return unit is not None and unit.label == "percent"


def _match_units(
    expected: Scalar, found: Scalar, config: GradeConfig
) -> tuple[Fraction, str, Outcome | None]:
    """Return the factor for the found value, a remark, and an outcome where the units decide."""
    left, right = expected.unit, found.unit
    if config.units == "ignore":
        return Fraction(1), "", None
    if left is not None and right is not None:
        if left.kind != right.kind:
            names = {left.label, right.label}
            if len(left.kind) == len(right.kind) == 1 and left.kind[0][0] == right.kind[0][0]:
                detail = f"units differ in power: {right.kind[0][1]} and {left.kind[0][1]}"
            else:
                detail = f"units differ in kind: {right.label} and {left.label}"
            if names == {"angle", "radian"}:
                return Fraction(1), "", Outcome(None, "degrees and radians")
            return Fraction(1), "", Outcome(False, detail)
        factor = right.factor / left.factor
        return factor, "units converted" if factor != 1 else "", None
    if left is not None and right is None and found.words and not _GENERIC.issuperset(found.words):
        if (
            not _is_percent(left)
            and left.label not in {"angle"}
            and not _shares_word(expected.words, found.words)
        ):
            return (
                Fraction(1),
                "",
                Outcome(None, f"{' '.join(found.words[:3])!r} is no unit that is known"),
            )
    if (
        left is None
        and right is None
        and expected.words
        and found.words
        and not _shares_word(expected.words, found.words)
    ):
        own, other = set(expected.words) - _GENERIC, set(found.words) - _GENERIC
        if own and other and len(expected.words) <= 2 and len(found.words) <= 2:
            return (
                Fraction(1),
                "",
                Outcome(None, f"{' '.join(found.words)!r} for {' '.join(expected.words)!r}"),
            )
    if left is None and right is not None and expected.words:
        own = set(expected.words) - _GENERIC
        if (
            own
            and len(expected.words) == 1
            and not _is_percent(right)
            and not _shares_word(expected.words, found.words)
        ):
            return Fraction(1), "", Outcome(None, f"a unit for {' '.join(expected.words)!r}")
    if _is_percent(left) != _is_percent(right):
        return (
            (right.factor if right else 1 / left.factor if left else Fraction(1)),
            "percent",
            None,
        )
    return (
        Fraction(1),
        "unit on one side only, not compared" if bool(left) != bool(right) else "",
        None,
    )


def _shares_word(left: Sequence[str], right: Sequence[str]) -> bool:
    def stem(word: str) -> str:
        return word.removesuffix("s").removesuffix("e") if len(word) > 3 else word

    return bool({stem(word) for word in left} & {stem(word) for word in right})


# Numbers with marks, ranges, bounds ------------------------------------------------------------------


def _compare_marked(expected: Marked, found: Value, config: GradeConfig) -> Outcome:
    if isinstance(found, Marked):
        return _compare_two_marked(expected, found)
    if (
        isinstance(found, Range)
        and isinstance(found.low, Scalar)
        and isinstance(found.high, Scalar)
    ):
        if expected.kind == "ratio":  # "3 to 2"
            parts = tuple(node.value for node in (found.low.node, found.high.node))
            return Outcome(parts == expected.parts, "ratio")
        return Outcome(False, f"a range where a {expected.kind} is expected")
    if isinstance(found, Scalar) and expected.kind == "clock":
        return _compare_hour(expected, found)
    if (
        isinstance(found, Scalar)
        and expected.value is not None
        and not (expected.kind == "ratio" and not _is_fraction(found))
    ):
        return _compare_quantities(Scalar(expected.value), found, config)
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


def _compare_range(expected: Range, found: Value, config: GradeConfig) -> Outcome:
    if isinstance(found, Range):
        return _both(
            compare_values(expected.low, found.low, config),
            compare_values(expected.high, found.high, config),
        )
    if isinstance(found, Marked) and found.kind == "ratio" and len(found.parts) == 2:
        ends = [end.node.value for end in (expected.low, expected.high) if isinstance(end, Scalar)]
        return Outcome(tuple(ends) == found.parts, "range or ratio")
    if (
        isinstance(found, Bound)
        and found.sign == ".."
        or (isinstance(found, Group) and len(found.items) == 2)
    ):
        group = found.value if isinstance(found, Bound) else found
        if isinstance(group, Group):
            ends_equal = _both(
                *(
                    compare_values(*pair, config)
                    for pair in zip((expected.low, expected.high), group.items, strict=True)
                )
            )
            return ends_equal
    if (
        isinstance(found, Scalar)
        and isinstance(expected.low, Scalar)
        and isinstance(expected.high, Scalar)
    ):
        high, low = expected.low.node, expected.high.node
        if high.op == low.op == "num" and high.value > low.value:  # 20-10 may be a difference
            return _compare_quantities(
                Scalar(Node("num", value=high.value - low.value), expected.low.unit), found, config
            )
    return Outcome(False, "no range")


def _both(*outcomes: Outcome) -> Outcome:
    if any(outcome.equal is False for outcome in outcomes):
        return next(outcome for outcome in outcomes if outcome.equal is False)
    if any(outcome.equal is None for outcome in outcomes):
        return Outcome(None, "a part is unclear")
    return Outcome(True, "equal part by part")


_INFINITE = Scalar(Node("const", name="inf"))
_MINUS_INFINITE = Scalar(Node("neg", (Node("const", name="inf"),)))


def to_interval(bound: Bound) -> Group | None:
    """Return the interval of a bound, None for ≠."""
    if bound.sign == "..":
        return bound.value if isinstance(bound.value, Group) else None
    ends: dict[str, tuple[str, str, Value, Value]] = {
        ">": ("(", ")", bound.value, _INFINITE), "≥": ("[", ")", bound.value, _INFINITE),
        "<": ("(", ")", _MINUS_INFINITE, bound.value), "≤": ("(", "]", _MINUS_INFINITE, bound.value),
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
        flat.extend(item.items if isinstance(item, Group) and item.opening == "row" else [item])
    return tuple(flat)


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
    if expected.link == "or" and not any(isinstance(item, Named) for item in items):
        # "0.5 or 1/2" names one value twice.
        if all(compare_values(items[0], item, config).equal for item in items[1:]):
            return compare_values(items[0], found, config)
    return Outcome(False, f"one value where {len(items)} are expected")


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
            return Outcome(None if len(wanted) != len(given) else False, "unions of other parts")
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
    Scalar: _compare_scalar, Marked: _compare_marked, Range: _compare_range, Bound: _compare_bound,
    Group: _compare_group, Listing: _compare_listing, Union: _compare_union, Equation: _compare_equation,
    Words: _compare_words, Negated: _compare_negated,
}  # fmt: skip


def read_tree(text: str) -> Node | None:
    """Return the tree of canonical text; for callers that need no more."""
    return read_expression(text)
