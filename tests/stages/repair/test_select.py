"""What is sent to the repairer, and when a trajectory is decided."""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa
import pytest

from dfgen.config.repair import RepairConfig
from dfgen.records import Attempt, Trajectory, VerdictInfo
from dfgen.stages.repair.plan import plan_attempts
from dfgen.stages.repair.select import is_control, need_repair, needs_repair, select_wrong


def make_verdict(grader: str = "auto", extracted: str | None = "7") -> VerdictInfo:
    return VerdictInfo(
        correct=False,
        grader=grader,
        extracted=extracted,
        expected="",
        method="last_number" if extracted else "none",
        detail="no number",
    )


def make(name: str, text: str, **fields: Any) -> Trajectory:
    prompt, _, index = name.rpartition("-")
    values = {
        "trajectory_id": name,
        "prompt_id": prompt,
        "sample_index": int(index),
        "completion": text,
        "completion_ids": [1],
        "ids_source": "sampled",
        "logprobs": None,
        "finish_reason": "stop",
        "stop_reason": None,
        "prompt_tokens": 1,
        "image_tokens": None,
        "seed": 1,
        "model": "m",
        "reward": 0.0,
        "verdict": make_verdict(),
        "metadata": "{}",
    }
    return Trajectory(**{**values, **fields})


GROUP = [
    make("p-0", "one"),
    make("p-1", "two"),
    make("p-2", "one"),
    make("p-3", "cut", finish_reason="length"),
    make("p-4", " \n"),
    make("p-5", "three"),
    make("p-6", "three"),
    make("q-0", "one"),
]


def test_an_answer_that_cannot_be_read_is_not_sent() -> None:
    silent = make("p-0", "I do not know.", verdict=make_verdict(extracted=None))
    own = make("p-1", "whatever", verdict=make_verdict("my.module:grade", extracted=None))
    selection = select_wrong([silent, own], RepairConfig())
    assert selection.leaders == ["p-1"]
    assert selection.refused["p-0"].reason == "no_answer"
    assert "no number" in selection.refused["p-0"].detail
    assert select_wrong([silent, own], RepairConfig(require_answer=False)).leaders == ["p-0", "p-1"]


def test_identical_answers_of_a_group_are_sent_once() -> None:
    selection = select_wrong(GROUP, RepairConfig(per_group=None))
    assert selection.leaders == ["p-0", "p-1", "p-5", "q-0"]
    assert selection.copy_of == {"p-2": "p-0", "p-6": "p-5"}
    reasons = {key: error.reason for key, error in selection.refused.items()}
    assert reasons == {"p-3": "truncated", "p-4": "empty_completion"}


def test_a_cap_counts_different_answers() -> None:
    selection = select_wrong(GROUP, RepairConfig(per_group=2))
    assert selection.leaders == ["p-0", "p-1", "q-0"]
    assert selection.copy_of == {"p-2": "p-0"}
    assert selection.refused["p-5"].reason == selection.refused["p-6"].reason == "over_group_cap"


def test_every_trajectory_has_one_fate() -> None:
    for cap in (None, 1, 2, 9):
        selection = select_wrong(GROUP, RepairConfig(per_group=cap))
        fates = [*selection.leaders, *selection.copy_of, *selection.refused]
        assert sorted(fates) == sorted(row.trajectory_id for row in GROUP)


def test_samples_drawn_later_change_nothing() -> None:
    for cap in (None, 1, 2):
        config = RepairConfig(per_group=cap)
        for size in range(len(GROUP)):
            before, after = select_wrong(GROUP[:size], config), select_wrong(GROUP, config)
            assert after.leaders[: len(before.leaders)] == before.leaders or cap is None
            assert before.copy_of.items() <= after.copy_of.items()
            assert before.refused.keys() <= after.refused.keys()


def test_rows_need_repair_when_their_trajectories_do() -> None:
    rewards = [0.0, 0.999, 1.0, 1.5, float("nan")]
    batch = pa.RecordBatch.from_pydict({"reward": pa.array(rewards, pa.float32())})
    assert need_repair(batch).to_pylist() == [
        needs_repair(make("p-0", "x", reward=reward)) for reward in rewards
    ]


def test_controls_are_right_answers_and_always_the_same() -> None:
    rows = [
        make(f"{hashlib.md5(str(i).encode()).hexdigest()}-0", "x", reward=1.0) for i in range(5000)
    ]
    chosen = [row for row in rows if is_control(row, 0.1)]
    assert 400 < len(chosen) < 600
    assert set(map(id, chosen)) <= {id(row) for row in rows if is_control(row, 0.2)}
    assert not any(is_control(row, 0.0) for row in rows)
    assert all(is_control(row, 1.0) for row in rows)
    assert not is_control(make("p-0", "x"), 1.0)


def attempt(index: int, reason: str = "answer_wrong") -> Attempt:
    return Attempt(
        index=index,
        accepted=reason == "accepted",
        reason=reason,
        detail="",
        text="",
        finish_reason="stop",
        prompt_tokens=0,
        completion_tokens=0,
        cost_usd=0.0,
        seed=0,
    )


@pytest.mark.parametrize(
    ("attempts", "plan"),
    [
        ([], (0, 1)),
        ([attempt(1)], (0,)),
        ([attempt(0, "accepted")], (1,)),
        ([attempt(0, "accepted"), attempt(1)], ()),
        ([attempt(0), attempt(1)], (2, 3)),
        ([attempt(0), attempt(1), attempt(3)], (2,)),
        ([attempt(i) for i in range(4)], ()),
        ([attempt(0, "prompt_too_long"), attempt(1, "prompt_too_long")], ()),
        ([attempt(0, "prompt_too_long"), attempt(1)], (2, 3)),
        ([attempt(0, "bad_response"), attempt(1, "bad_response")], ()),
    ],
)
def test_rounds_are_made_in_full_and_then_decided(
    attempts: list[Attempt], plan: tuple[int, ...]
) -> None:
    assert plan_attempts(attempts, RepairConfig(candidates=2, max_attempts=2)) == plan
