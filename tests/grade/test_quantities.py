from __future__ import annotations

from fractions import Fraction

import pytest

from dfgen.grade.evaluate import evaluate
from dfgen.grade.reading import read_values
from dfgen.grade.values import About, Named, Scalar

ONE = [
    ("24", 24, False, None),
    ("-5", -5, False, None),
    ("−5", -5, False, None),
    ("+5", 5, False, None),
    ("- 5", -5, False, None),
    ("(5)", 5, False, None),
    ("**5**", 5, False, None),
    ("about 5", 5, False, None),
    ("ca. 5", 5, False, None),
    ("≈ 5", 5, False, None),
    ("x = 5", 5, False, None),
    ("$x = 5$", 5, False, None),
    ("3 + 2 = 5", 5, False, None),
    ("5, because 2 + 3 = 5", 5, False, None),
    ("the area is 24", 24, False, None),
    ("The largest n is 34.", 34, False, None),
    ("5 apples", 5, False, None),
    ("5个", 5, False, None),
    ("2nd", 2, False, None),
    ("7 (three red + 4 blue)", 7, False, None),
    ("three", 3, False, None),
    ("**Twelve**.", 12, False, None),
    ("fünf", 5, False, None),
    ("п'ять", 5, False, None),
    ("三", 3, False, None),
    ("3/5", "3/5", False, None),
    (r"\frac{3}{5}", "3/5", False, None),
    (r"-\dfrac{10}{9}", "-10/9", False, None),
    (r"\frac12", "1/2", False, None),
    ("1 1/2", "3/2", False, None),
    (r"3\frac{1}{2}", "7/2", False, None),
    ("½", "1/2", False, None),
    ("2½", "5/2", False, None),
    ("1.5e3", 1500, False, None),
    ("2E-2", "1/50", False, None),
    (r"1.5 \times 10^{3}", 1500, False, None),
    ("1.5×10³", 1500, False, None),
    ("1.5 x 10^-2", "3/200", False, None),
    ("2 million", 2_000_000, False, None),
    ("50%", 50, True, None),
    (r"50 \%", 50, True, None),
    ("50 percent", 50, True, None),
    ("50 Prozent", 50, True, None),
    ("50 відсотків", 50, True, None),
    ("５０％", 50, True, None),
    ("24 cm", 24, False, "length"),
    (r"24 \mathrm{~cm}^{2}", 24, False, "length^2"),
    (r"24\text{ cm}^3", 24, False, "length^3"),
    ("24 m²", 24, False, "length^2"),
    ("24 square meters", 24, False, "length^2"),
    ("24 cubic cm", 24, False, "length^3"),
    (r"90^\circ", 90, False, "angle"),
    ("90°", 90, False, "angle"),
    ("90 degrees", 90, False, "angle"),
    (r"\$84.50", "84.5", False, "dollar"),
    ("$84.50", "84.5", False, "dollar"),
    ("-$5", -5, False, "dollar"),
    ("84,50 €", "84.5", False, "euro"),
    ("5 km/h", 5, False, "speed"),
    ("5 m/s^2", 5, False, "length·time^-2"),
    ("5 in total", 5, False, None),
    ("5 N", 5, False, "force"),
    ("2 hours", 2, False, "time"),
]


def read_statement(text: str) -> Scalar | None:
    """The one plain number that a text states, as such or about or with a name."""
    for value in read_values(text):
        inner = value.value if isinstance(value, Named) else value
        inner = inner.value if isinstance(inner, About) else inner
        if isinstance(inner, Scalar) and inner.plain:
            return inner
    return None


@pytest.mark.parametrize(("text", "value", "percent", "kind"), ONE)
def test_texts_that_state_one_quantity(
    text: str, value: int | str, percent: bool, kind: str | None
) -> None:
    quantity = read_statement(text)
    assert quantity is not None
    assert evaluate(quantity.node) == Fraction(value)
    label = quantity.unit.label if quantity.unit else None
    assert (label == "percent") is percent
    assert percent or label == kind


@pytest.mark.parametrize(
    "text",
    [
        "", "A", "one of them", "2 (x+1)", "7 (3 + 4)",
        "2x", "2 x", r"2\pi", r"15\sqrt{3}", "7d^4+56d^2+56", "3:2", "12:00",
        "3-5", "3 to 5", "5 or 6", "3, 5", "(1, 2)", "[0,1)", "{1;2}", "AB=3, CD=1", "x=1 and y=2",
        "2x+z=1", "10^3", "2**3", "9!", "3/4/2020", "H2O", "1/0", r"\frac{1}{0}", "±5", "5 ± 1",
        "7 + d", "x + 3", "1e99999999", "9" * 5000,
    ],
)  # fmt: skip
def test_texts_that_do_not(text: str) -> None:
    assert read_statement(text) is None


def test_exact_and_rounded_values() -> None:
    values = [
        evaluate(value.node)
        for value in read_values(r"\frac{1}{3} \approx 0.33")
        if isinstance(value, Scalar)
    ]
    assert values == [Fraction(1, 3), Fraction(33, 100)]
    exact, rounded = read_values(r"15\sqrt{3} \approx 25.98")
    assert isinstance(exact, Scalar) and not exact.plain
    assert isinstance(rounded, Scalar) and evaluate(rounded.node) == Fraction("25.98")
