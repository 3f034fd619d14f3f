"""Numbers of trajectories that cannot be are named by `dfgen validate`."""

from __future__ import annotations

from typing import Any

import pytest

from dfgen.validate.trajectories import check_numbers

ROW: dict[str, Any] = {
    "completion_ids": [1, 2],
    "logprobs": [-0.5, 0.0],
    "prompt_tokens": 3,
    "image_tokens": None,
}


def test_a_sound_row_is_sound() -> None:
    assert list(check_numbers(ROW)) == []
    assert list(check_numbers({**ROW, "logprobs": None})) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"logprobs": [-0.5, float("-inf")]}, "not a finite number"),
        ({"logprobs": [float("nan"), -1.0]}, "not a finite number"),
        ({"logprobs": [0.5, -1.0]}, "above 0"),
        ({"logprobs": [-1.0]}, "length 1, not 2"),
        ({"completion_ids": [-1, 2]}, "token id is below 0"),
        ({"prompt_tokens": -3}, "prompt_tokens is below 0"),
    ],
)
def test_a_number_that_cannot_be_is_named(change: dict[str, Any], problem: str) -> None:
    [found] = check_numbers({**ROW, **change})
    assert problem in found
