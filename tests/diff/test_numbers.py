"""A number is wrong as a whole, with its sign, percent sign and unit."""

from __future__ import annotations

import pytest

from dfgen.diff.atoms import split_atoms
from dfgen.diff.number_form import read_number
from tests.diff.pairs import diff, list_hunks, marked

SUB, DEL, INS, FORM = "sub", "del", "ins", "for"

ATOMS = [
    ("46", ["46"]),
    ("3.14 1,234,567.5 12,5", ["3.14", "1,234,567.5", "12", ",", "5"]),
    ("3/4 \\frac{3}{4} \\dfrac34", ["3/4", "\\frac{3}{4}", "\\dfrac34"]),
    ("1{,}000 1\\,000", ["1{,}000", "1\\,000"]),
    ("1.5e-3 2e8x", ["1.5e-3", "2", "e8x"]),
    ("12:30 .5 34th", ["12:30", ".5", "34th"]),
    ("-5 3-5 50%", ["-", "5", "3", "-", "5", "50", "%"]),
    ("5cm 5 cm x2", ["5", "cm", "5", "cm", "x2"]),
    ("5. And", ["5", ".", "And"]),
    ("v1.2.3", ["v1", ".2", ".3"]),
    ("٣٤", ["٣٤"]),  # Arabic-Indic digits
]


@pytest.mark.parametrize(("text", "atoms"), ATOMS)
def test_atoms(text: str, atoms: list[str]) -> None:
    assert split_atoms(text).keys == atoms


CASES = [
    # wrong, right, what is marked
    ("I see 46 cats", "I see 146 cats", ["46"]),  # one token per digit would insert a 1
    ("I see 146 cats", "I see 46 cats", ["146"]),
    ("x = 3.14.", "x = 3.15.", ["3.14"]),
    ("it is 1,234 m", "it is 1,334 m", ["1,234"]),
    ("so 3/4 of it", "so 3/5 of it", ["3/4"]),
    ("so $\\frac{3}{4}$", "so $\\frac{3}{5}$", ["\\frac{3}{4}"]),
    ("x is 46 now", "x is -46 now", ["46"]),
    ("x = -46.", "x = 46.", ["-46"]),
    ("7 - 5 = 2", "7 + 5 = 2", ["-"]),  # an operator is no sign
    ("7-5 = 2", "7+5 = 2", ["-"]),
    ("about 50 of them", "about 50% of them", ["50"]),
    ("a 5 cm line", "a 5 mm line", ["5 cm"]),
    ("a 5cm line", "a 5mm line", ["5cm"]),
    ("a 5 cm line", "a 5 long line", ["cm"]),  # no unit on the other side
    ("it costs 5 now", "it costs $5 now", ["5"]),
    ("at 12:30 we", "at 12:45 we", ["12:30"]),
    ("the 3rd row", "the 4th row", ["3rd"]),
]


@pytest.mark.parametrize(("wrong", "right", "expected"), CASES)
def test_marked(wrong: str, right: str, expected: list[str]) -> None:
    assert marked(wrong, right) == expected


VALUES = [
    ("I see 3.", "I see 4.", [("3", "4")]),
    ("x = 1,000", "x = 1,200", [("1,000", "1,200")]),
    ("x = -3", "x = 3", [("-3", "3")]),
    ("a red cat", "a blue cat", [(None, None)]),
    ("I see 3 cats", "I see many cats", [(None, None)]),
    ("3 or 4", "5 or 6", [("3", "5"), ("4", "6")]),
]


@pytest.mark.parametrize(("wrong", "right", "values"), VALUES)
def test_old_and_new_value(
    wrong: str, right: str, values: list[tuple[str | None, str | None]]
) -> None:
    found = [(hunk.old_value, hunk.new_value) for hunk in diff(wrong, right).hunks]
    assert found == values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.50", "2469/2"),
        ("3/4", "3/4"),
        ("\\frac{3}{4}", "3/4"),
        ("\\tfrac34", "3/4"),
        ("1.5e-3", "3/2000"),
        ("0.50", "1/2"),
        ("1/0", "None"),
        ("\\frac{1}{0}", "None"),
        ("1e999999999", "None"),
        ("12:30", "None"),
        ("cat", "None"),
        ("", "None"),
    ],
)
def test_read_number(text: str, value: str) -> None:
    assert str(read_number(text)) == value


def test_number_format_is_form() -> None:
    assert list_hunks("x = 0.50", "x = 0.5") == [(FORM, "0.50", "0.5")]
    assert list_hunks("x = 1,000", "x = 1000") == [(FORM, "1,000", "1000")]
    assert list_hunks("x = 3/4", "x = \\frac{3}{4}") == [(FORM, "3/4", "\\frac{3}{4}")]
    assert list_hunks("x = 1 2", "x = 12") != [(FORM, "1 2", "12")]
