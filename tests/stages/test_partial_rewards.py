"""One meaning of right, end to end: a partial reward is that of a wrong answer worth something."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.export.load import load_groups, load_masks
from dfgen.grade import grading
from dfgen.report.stats import collect_numbers
from dfgen.store.finished import open_finished
from dfgen.validate.path import validate_path
from tests.support.scripted_models import Models, answer_by_index, make_pipeline

WORDS = ["fine", "half", "poor", "fair"]


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each grader is told once for each process."""
    monkeypatch.setattr(grading, "_told", set())


def test_it_is_repaired_and_only_a_reward_of_one_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make_pipeline(tmp_path, repair={"max_attempts": 2})
    # The first attempt at a half is another text that is still worth a half.
    models = Models(answer_by_index(WORDS), {"half": ["only half", "fine"], "poor": ["half"]})
    with pytest.warns(RuntimeWarning, match=r"correct=True with the reward 0\.5") as told:
        run = models.run(tmp_path / "run", pipeline, monkeypatch)
    assert len(told) == 1, "told once, though every shard and both stages meet it"

    rows = {row["trajectory_id"]: row for row in run.table("trajectories").iter_rows()}
    by_sample = {key[-1]: (row["reward"], row["verdict"]["correct"]) for key, row in rows.items()}
    assert by_sample == {"0": (1, True), "1": (0.5, False), "2": (0, False), "3": (1, True)}

    repairs = {row["trajectory_id"]: row for row in run.table("repairs").iter_rows()}
    assert {key[-1] for key in repairs} == {"1"}
    for row in repairs.values():
        assert row["reward"] == 1
        assert [each["reason"] for each in row["attempts"]] == ["answer_wrong", "accepted"]
    refused = list(run.rejects("repair").iter_rows())
    assert {(row["row_id"][-1], row["reason"]) for row in refused} == {("2", "answer_wrong")}

    sources = {row["trajectory_id"][-1]: row["mask_source"] for row in load_masks(run.root)}
    assert sources == {"0": "correct", "1": "repair", "2": "outcome", "3": "correct"}
    for group in load_groups(run.root):
        rewards = [row["reward"] for row in group["trajectories"]]
        assert rewards == [1.0, 0.5, 0.0, 1.0], "the group's baseline sees the partial value"

    numbers = collect_numbers(open_finished(run.root))
    assert numbers["groups"]["pass_rate"] == 0.5
    assert numbers["repairs"]["accepted"] == 7
    assert numbers["counts"]["repair"] == {"input": 14, "output": 7, "rejects": 7, "pending": 0}
    assert validate_path(run.root, None).problems == []


def test_partial_rewards_decide_groups_as_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make_pipeline(tmp_path, sample={"stop_early_after": 2})
    models = Models(answer_by_index(["half", "poor", "fine", "fine"]))
    with pytest.warns(RuntimeWarning, match="reward"):
        models.run(tmp_path / "run", pipeline, monkeypatch, ("prompts", "sample"))
    assert models.drawn.total() == 14
