"""Numbers, expressions, and what two earlier changes give together."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.diff.roles import Values, completes
from dfgen.diff.values import Value, evaluate_tail

TAILS: list[tuple[str, Value | None]] = [
    ("3 + 2 =", 5),
    ("I see 3 + 2 is $(", 5),
    ("so 1 + 2 * 3 =", 7),
    ("8 / 2 ≈ ", 4),
    ("1 / 3 =", Fraction(1, 3)),
    ("2 ÷ 4 gives", Fraction(1, 2)),
    ("\\frac{1}{2} + 1 =", Fraction(3, 2)),
    ("(2 + 3) =", 5),
    ("4 / 0 =", None),
    ("2 + 3", None),
    ("2 + 3 this", None),
    ("of 2 + 3 circles is", None),
    ("5 =", None),
    ("=", None),
    ("", None),
]
small: st.SearchStrategy[Value] = st.sampled_from(
    [-3, -2, -1, 0, 1, 2, 3, 4, 6, Fraction(1, 2), Fraction(3, 2)]
)
changes = st.tuples(small, small)


@pytest.mark.parametrize(("text", "value"), TAILS)
def test_the_expression_before_an_equals_sign(text: str, value: Value | None) -> None:
    assert evaluate_tail(text) == value


@given(changes, st.sets(changes, max_size=6))
def test_the_other_term_is_found_as_if_all_were_tried(pair: Values, values: set[Values]) -> None:
    tried = any(
        pair in ((a + c, b + d), (a - c, b - d), (a * c, b * d))
        for (a, b), (c, d) in permutations(values, 2)
    )
    assert any(completes(pair, term, values) for term in values) == tried
