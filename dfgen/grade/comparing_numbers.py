# ruff: noqa: PLR0911, PLR0912 - one return for each kind
"""Compares one quantity with another: values, units, percent signs, variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from dfgen.grade.decisive import is_decisive
from dfgen.grade.evaluate import UnvaluedError, compare_trees, evaluate
from dfgen.grade.expression import Node, list_names
from dfgen.grade.nearness import describe_distance, is_near
from dfgen.grade.units import Unit, read_unit
from dfgen.grade.values import Scalar

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig

_PLACES_TRIED = 40
_GENERIC = frozenset(
    [
        "unit",
        "units",
        "total",
        "in",
        "all",
        "the",
        "a",
        "an",
        "of",
        "is",
        "are",
        "altogether",
        "approximately",
        "about",
        "exactly",
        "only",
        "now",
        "there",
        "and",
        "per",
        "each",
        "long",
        "wide",
        "high",
        "tall",
        "deep",
        "away",
        "apart",
        "large",
        "people",
        "person",
        "item",
        "items",
        "thing",
        "things",
        "time",
        "times",
        "number",
        "answer",
        "value",
        "square",
        "cubic",
        "sq",
        "cu",
        "squared",
        "old",
        "left",
        "remaining",
        "more",
        "less",
        "fewer",
        "different",
        "whole",
        "exactly",
        "off",
        "ordinal",
        "place",
    ]
)


class Outcome(NamedTuple):
    """The decision, None where only algebra could tell, and one clause of evidence."""

    equal: bool | None
    detail: str


def count_places(node: Node) -> int | None:
    """Decimal places of a written number; None for fractions and expressions."""
    if node.op == "neg":
        return count_places(node.args[0])
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


def compare_quantities(expected: Scalar, found: Scalar, config: GradeConfig) -> Outcome:
    """Compare units, then variables, then values within the tolerances."""
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
        # A log without a base is one of these; of two that fail, the first is told.
        pairs = dict.fromkeys(
            (evaluate(expected.node, None, base), evaluate(found.node, None, base))
            for base in (10.0, 2.718281828459045)
        )
    except UnvaluedError:
        same = _compare_infinite(expected.node, found.node)
        return Outcome(same, "infinite or too large to evaluate")
    best: Outcome | None = None
    for right, given in pairs:
        left = given * factor if isinstance(given, Fraction) else given * float(factor)
        places = [expected.places, found.places]
        if factor != 1:
            places[1] = None
        candidates = [(left, note)]
        if note == "percent":
            candidates = [(left, "percent sign on one side only, not compared")]
            percent_found = found.unit is not None
            applied = left / 100 if percent_found else left * 100
            candidates.append((applied, "percent sign applied"))
            if percent_found and abs(complex(right)) < 1:
                del candidates[0]  # 0.75% is not 0.75
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
            if left.label == "sterling" and (pound := read_unit("pounds")) and right == pound[0]:
                return Fraction(1), "", None
            names = {left.label, right.label}
            if len(left.kind) == len(right.kind) == 1 and left.kind[0][0] == right.kind[0][0]:
                detail = f"units differ in power: {right.kind[0][1]} and {left.kind[0][1]}"
            else:
                detail = f"units differ in kind: {right.label} and {left.label}"
            if right.label == "angle" and left.label in {"celsius", "fahrenheit"}:
                return Fraction(1), "degrees without a scale", None
            if names == {"angle", "radian"}:
                return Fraction(1), "", Outcome(None, "degrees and radians")
            return Fraction(1), "", Outcome(False, detail)
        factor = right.factor / left.factor
        return factor, "units converted" if factor != 1 else "", None
    strange = bool(found.words) and not _GENERIC.issuperset(found.words)
    if left is not None and right is None and strange and left.label not in {"percent", "angle"}:
        if _shares_word(expected.words, found.words):
            return Fraction(1), "", None
        unknown = f"{' '.join(found.words[:3])!r} is no unit that is known"
        return Fraction(1), "", Outcome(None, unknown)
    if (
        left is None
        and right is None
        and expected.words
        and found.words
        and not _shares_word(expected.words, found.words)
    ):
        own, other = (
            {word for word in words if word not in _GENERIC and not is_decisive(word)}
            for words in (expected.words, found.words)
        )
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
