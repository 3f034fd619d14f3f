from __future__ import annotations

import datetime
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.errors import RowError
from dfgen.prompts.answers import read_answer, read_solution
from dfgen.prompts.choices import find_answer_letter, read_choices
from dfgen.prompts.metadata import write_metadata


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("5", "5"),
        (" 5\n", "5"),
        (3, "3"),
        (3.0, "3"),
        (-0.5, "-0.5"),
        (1e300, "1e+300"),
        (float("inf"), "inf"),
        (Decimal("3.50"), "3.50"),
        (Decimal("1E+2"), "100"),
        (Decimal("3.0"), "3"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (datetime.date(2024, 2, 29), "2024-02-29"),
        (["yes", "yeah"], "yes"),
        ([None, 4], "4"),
    ],
)
def test_answers_become_text(cell: Any, text: str) -> None:
    assert read_answer(cell) == text


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (None, "answer_missing"),
        ("", "answer_missing"),
        (" \n", "answer_missing"),
        (float("nan"), "answer_missing"),
        (Decimal("nan"), "answer_missing"),
        ([], "answer_missing"),
        ([None], "answer_missing"),
        ({"text": "5"}, "answer_invalid"),
        ([["5"]], "answer_invalid"),
        (b"5", "answer_invalid"),
    ],
)
def test_answers_refused(cell: Any, reason: str) -> None:
    with pytest.raises(RowError) as caught:
        read_answer(cell)
    assert caught.value.reason == reason


def test_an_answer_that_is_an_object_is_told_how_its_field_is_named() -> None:
    with pytest.raises(RowError, match=r"such as truth\.value"):
        read_answer({"value": 3}, "truth")


def test_solutions() -> None:
    assert read_solution(None) is None
    assert read_solution(["first", "", "then"]) == "first\nthen"
    with pytest.raises(RowError, match="solution_invalid"):
        read_solution({"steps": []})


@pytest.mark.parametrize(
    ("cell", "choices"),
    [
        (None, []),
        ([], []),
        ("", []),
        (["x", 2, 3.0, True], ["x", "2", "3", "true"]),
        ({"A": "x", "B": "y"}, ["x", "y"]),
        ({"B": "y", "A": "x", "C": None}, ["x", "y"]),
        ({"a": "x", "b": "y"}, ["x", "y"]),
        ({"label": ["B", "A"], "text": ["y", "x"]}, ["x", "y"]),
        ('["x", "y"]', ["x", "y"]),
        ("['x', \"it's\"]", ["x", "it's"]),
        (["<image 1>", "<image 2>"], ["<image 1>", "<image 2>"]),
    ],
)
def test_choices(cell: Any, choices: list[str]) -> None:
    assert read_choices(cell) == choices


@pytest.mark.parametrize(
    "cell",
    [
        7,
        "x, y",
        "5",
        ["x", None],
        ["x", " "],
        ["x", ["y"]],
        {"A": "x", "C": "y"},
        {"first": "x"},
        {"label": ["1", "2"], "text": ["x", "y"]},
        {"label": ["A", "A"], "text": ["x", {"y": 1}]},
        ["x"] * 27,
        "[" * 10_000,
    ],
)
def test_choices_refused(cell: Any) -> None:
    with pytest.raises(RowError, match="choices_invalid"):
        read_choices(cell)


def test_positions_become_letters() -> None:
    assert find_answer_letter("0", 0, ["x", "y"]) == "A"
    assert find_answer_letter("2", 1, ["x", "y"]) == "B"
    for answer, first in (("2", 0), ("0", 1), ("-1", 0), ("B", 0)):
        with pytest.raises(RowError, match="choices_invalid"):
            find_answer_letter(answer, first, ["x", "y"])


def test_metadata_is_json_whatever_the_cells_hold() -> None:
    values = {
        "text": "ä",
        "none": None,
        "nan": float("nan"),
        "deep": [{"bytes": b"\x00\xff", "when": datetime.datetime(2024, 1, 2, 3)}],
        "price": Decimal("1.10"),
        "span": datetime.timedelta(seconds=1),
    }
    assert json.loads(write_metadata(values)) == {
        "text": "ä",
        "none": None,
        "nan": None,
        "deep": [{"bytes": "AP8=", "when": "2024-01-02T03:00:00"}],
        "price": "1.10",
        "span": "0:00:01",
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)  # fmt: skip


@given(st.dictionaries(st.text(), JSON))
def test_metadata_that_is_json_stays_what_it_is(values: dict[str, Any]) -> None:
    assert json.loads(write_metadata(values)) == values
