"""Errors of looking are told from errors of reasoning by what depends on the pictures."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dfgen.demo.truth import find_counts
from dfgen.report.perception import name_errors


def make_hunk(start: int, end: int, role: str | None = "root", **values: Any) -> dict[str, Any]:
    return {"wrong_tokens": [start, end], "in_mask": True, "role": role, **values}


def make_row(hunks: list[dict[str, Any]], **columns: Any) -> dict[str, Any]:
    return {
        "hunks": json.dumps(hunks),
        "loss_mask": [True] * 5,
        "visual_kl": None,
        "visual_log_ratio": None,
        **columns,
    }


HUNKS = [make_hunk(0, 1), make_hunk(1, 3), make_hunk(4, 5)]


@pytest.mark.parametrize("column", ["visual_kl", "visual_log_ratio"])
def test_what_depends_on_the_pictures_more_than_the_answer_does(column: str) -> None:
    row = make_row(HUNKS, **{column: [5.0, 0.0, 3.0, 0.0, 1.0]})  # 1.8 on average
    assert name_errors(row) == ["perception", "perception", "reasoning"]


def test_nothing_stands_out_where_all_depend_alike() -> None:
    assert name_errors(make_row(HUNKS, visual_kl=[2.0] * 5)) == ["reasoning"] * 3


def test_what_nobody_can_tell() -> None:
    assert name_errors(make_row(HUNKS)) == [None] * 3
    assert name_errors({**make_row([]), "hunks": None}) == []
    odd = [
        make_hunk(2, 2),
        make_hunk(0, 1, "consequence"),
        make_hunk(0, 1, None, in_mask=False),
        make_hunk(0, 1),
    ]
    values = [5.0, 0.0, 0.0, 0.0, 0.0]
    assert name_errors(make_row(odd, visual_kl=values)) == [None, None, None, "perception"]
    unmasked = make_row([make_hunk(0, 1)], visual_kl=values, loss_mask=[False] * 5)
    assert name_errors(unmasked) == [None]


def test_where_an_answer_says_what_it_counted() -> None:
    text = (
        "Step 1: red circles: I see 3.\nStep 2: blue squares: there are 12.\n"
        "Step 3: the sum is 3 + 12 = 15.\nAnswer: 15"
    )
    spans = find_counts(text, "sum")
    assert spans is not None
    assert [text[start:end] for start, end in spans] == ["3", "12"]
    assert find_counts(text[:-3], "sum") is None
