"""`dfgen validate` finds every kind of damage to a score row."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from dfgen.records import Score
from dfgen.stages.score.planning import hash_ids
from dfgen.validate.scores import check_score

IDS = [3, 1, 2]
ROW: dict[str, Any] = {"completion_ids": IDS, "logprobs": [-0.5, -1.0, -2.0]}
SCORE = Score(
    trajectory_id="p-0",
    prompt_id="p",
    sample_index=0,
    ids_sha256=hash_ids(IDS),
    scored_logprobs=[-0.5, -1.25, -2.0],
    logprob_gap=0.25,
    temperature=0.5,
    truncated_sampling=False,
    tempered_logprobs=[-0.25, -1.0, -2.0],
    repair_ids=[3, 1],
    repair_logprobs=[-0.5, -0.5],
    repair_tempered_logprobs=[-0.25, -0.25],
    visual_kl=[0.0, 1.0, 2.0],
    visual_log_ratio=[-1.0, 1.0, 2.0],
).model_dump()


def test_a_sound_row_has_no_problem() -> None:
    assert list(check_score(SCORE, ROW)) == []
    imported = {**SCORE, "logprob_gap": None}
    assert list(check_score(imported, {**ROW, "logprobs": None})) == []


def put(column: str, value: Any, at: int | None = None) -> Callable[[dict[str, Any]], None]:
    def change(score: dict[str, Any]) -> None:
        if at is None:
            score[column] = value
        else:
            score[column][at] = value

    return change


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (put("ids_sha256", hash_ids([3, 1])), "of other token ids"),
        (put("scored_logprobs", [-0.5]), "scored_logprobs has length 1, not 3"),
        (
            put("tempered_logprobs", float("nan"), 1),
            "tempered_logprobs is null or not a finite",
        ),
        (put("repair_logprobs", [-0.5] * 3), "repair_logprobs has length 3, not 2"),
        (put("repair_ids", None), "repair_logprobs has length 2, not None"),
        (put("repair_tempered_logprobs", 0.5, 0), "repair_tempered_logprobs is above 0"),
        (put("visual_kl", -0.1, 0), "visual_kl is below 0"),
        (put("visual_log_ratio", [1.0]), "visual_log_ratio has length 1"),
        (put("logprob_gap", 0.3), "logprob_gap is 0.3, but the largest difference is 0.25"),
        (put("logprob_gap", None), "logprob_gap is None"),
        (put("scored_logprobs", -3.0, 2), "the largest difference is 1"),
    ],
)
def test_damage_is_found(damage: Callable[[dict[str, Any]], None], said: str) -> None:
    score = copy.deepcopy(SCORE)
    damage(score)
    assert any(said in problem for problem in check_score(score, ROW)), list(
        check_score(score, ROW)
    )


def test_a_gap_without_stored_logprobs_is_none() -> None:
    (problem,) = check_score(SCORE, {**ROW, "logprobs": None})
    assert "no logprobs are stored" in problem
