"""What `stats` shows of value rows, counted by hand."""

from __future__ import annotations

from typing import Any

import pytest

from dfgen.stages.value.summary import measure_rows


def make_row(prompt: str, start: float, gains: list[float | None], **captured: float) -> Any:
    """A row of 20 tokens whose masks mark 4 each; None is a hunk that marks nothing."""
    hunks = [{"start": None if gain is None else 1, "value_gain": gain} for gain in gains]
    blame = [{"mask": name, "tokens": 4, "captured": each} for name, each in captured.items()]
    return {
        "prompt_id": prompt,
        "tokens": 20,
        "drawn": 6,
        "value_start": start,
        "hunk_values": hunks,
        "blame": blame,
    }


ROWS = [
    make_row("a", 0.5, [None, 0.75, -0.5], dfgen=0.5, random=0.125),
    make_row("a", 0.5, [0.0, 1.0], dfgen=0.25, random=0.0),
    make_row("b", 1.0, [-0.25, 1.0], dfgen=0.75, random=0.125),
    make_row("c", 0.0, [0.5], dfgen=0.0),
]


def test_figures_are_sums_over_trajectories() -> None:
    told = measure_rows(ROWS)
    assert told is not None
    assert (told["trajectories"], told["continuations"]) == (4, 24)
    assert told["continuations_per_trajectory"] == 6
    assert told["value_start"] == pytest.approx(0.5)
    # Of sums, not the mean of each answer's share; an answer without any success counts nothing.
    assert told["dfgen"]["capture"]["estimate"] == pytest.approx(1.5 / 2)
    assert told["dfgen"]["density"] == pytest.approx(0.2)
    assert told["dfgen"]["lift"]["estimate"] == pytest.approx(1.5 / 2 / 0.2)
    assert "own_minus_this" not in told["dfgen"]
    # Over the answers that have both.
    assert told["random"]["capture"]["estimate"] == pytest.approx(0.25 / 2)
    assert told["random"]["own_minus_this"]["estimate"] == pytest.approx((1.5 - 0.25) / 2)


def test_the_gain_is_that_of_the_first_hunk_that_marks_anything() -> None:
    told = measure_rows(ROWS)
    assert told is not None
    assert told["repair_gain"]["estimate"] == pytest.approx((0.75 + 0.0 - 0.25 + 0.5) / 4)
    assert told["gains_above_0_share"] == pytest.approx(2 / 4), "nothing won is not above 0"


def test_nothing_is_measured_of_nothing_and_one_prompt_has_no_interval() -> None:
    assert measure_rows([]) is None
    told = measure_rows(ROWS[:2])
    assert told is not None
    assert told["dfgen"]["capture"] == {"estimate": 0.75, "low": None, "high": None}
    assert told["repair_gain"]["low"] is None
