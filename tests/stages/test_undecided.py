"""Answers that nobody can read, on their way through all stages: dropped, kept, or wrong."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dfgen.export.load import load_groups, load_masks
from dfgen.report.card import list_counts, list_mask_figures
from dfgen.report.stats import collect_numbers
from dfgen.report.stats_table import tabulate_groups
from dfgen.stages.repair.remaining import iter_undecided
from dfgen.stages.session import Session
from dfgen.store.finished import open_finished
from dfgen.store.run import Run
from dfgen.validate.path import validate_path
from tests.support.scripted_models import Models, answer_by_index, make_pipeline
from tests.support.word_graders import LOOSE

WORDS = ["fine", "poor", "blurred", "blurred"]
REPAIRS = {"poor": ["fine"], "blurred": ["fine"]}


def make_run(root: Path, monkeypatch: pytest.MonkeyPatch, **grade: Any) -> tuple[Run, Models]:
    pipeline = make_pipeline(root.parent, grade={"grader": LOOSE, **grade})
    models = Models(answer_by_index(WORDS), REPAIRS)
    return models.run(root, pipeline, monkeypatch), models


def read_masks(run: Run) -> dict[str, dict[str, Any]]:
    return {row["trajectory_id"]: row for row in run.table("masks").iter_rows()}


def count_rejects(run: Run) -> Counter[tuple[str, str]]:
    return Counter(
        (stage, row["reason"]) for stage in run.stages for row in run.rejects(stage).iter_rows()
    )


def test_dropped_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, models = make_run(tmp_path / "run", monkeypatch)
    assert {key[-1] for key in models.asked} == {"1"}, "nobody pays for what nobody understands"
    assert count_rejects(run) == {("repair", "undecided"): 14, ("mask", "undecided"): 14}
    assert Counter(key[-1] for key in read_masks(run)) == {"0": 7, "1": 7}
    assert {row["undecided"] for row in read_masks(run).values()} == {None}
    assert validate_path(tmp_path / "run", None).problems == []


def test_kept_without_loss_and_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, models = make_run(tmp_path / "run", monkeypatch, undecided="keep")
    assert {key[-1] for key in models.asked} == {"1"}
    assert count_rejects(run) == {("repair", "undecided"): 14}
    masks = read_masks(run)
    assert len(masks) == 28
    for key, row in masks.items():
        unread = key[-1] in "23"
        assert row["undecided"] is (True if unread else None)
        if unread:
            assert row["mask_source"] == "outcome" and not any(row["loss_mask"])
            assert row["reward"] == 0 and row["token_ops"] is None
    assert validate_path(tmp_path / "run", None).problems == []
    loaded = {row["trajectory_id"]: row["undecided"] for row in load_masks(tmp_path / "run")}
    assert loaded == {key: row["undecided"] for key, row in masks.items()}
    for group in load_groups(tmp_path / "run"):
        rewards = [row["reward"] for row in group["trajectories"] if not row["undecided"]]
        assert rewards == [1.0, 0.0]


def test_kept_even_where_outcomes_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make_pipeline(tmp_path, grade={"undecided": "keep"}, mask={"outcome": "drop"})
    run = Models(answer_by_index(WORDS), REPAIRS).run(tmp_path / "run", pipeline, monkeypatch)
    assert len(read_masks(run)) == 28


def test_wrong_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, models = make_run(tmp_path / "run", monkeypatch, undecided="wrong")
    assert {key[-1] for key in models.asked} == {"1", "2"}, "the fourth sample is a copy"
    assert count_rejects(run) == {}
    masks = read_masks(run)
    assert Counter(row["mask_source"] for row in masks.values()) == {"correct": 7, "repair": 21}
    assert {row["undecided"] for row in masks.values()} == {None}
    assert validate_path(tmp_path / "run", None).problems == []


def test_nothing_is_planned_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = make_pipeline(tmp_path)
    models = Models(answer_by_index(WORDS), REPAIRS)
    run = models.run(tmp_path / "run", pipeline, monkeypatch, ("prompts", "sample"))
    left = list(iter_undecided(Session(run, pipeline), pipeline.repair))
    assert {item.trajectory.sample_index for item in left} == {1}


def test_they_decide_no_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for undecided in ("drop", "wrong"):
        pipeline = make_pipeline(
            tmp_path, sample={"stop_early_after": 2}, grade={"undecided": undecided}
        )
        models = Models(answer_by_index(["poor", "blurred", "poor", "poor"]))
        models.run(tmp_path / undecided, pipeline, monkeypatch, ("prompts", "sample"))
        assert models.drawn.total() == 28
    models = Models(answer_by_index(["poor", "poor", "poor", "poor"]))
    models.run(tmp_path / "wrong alike", pipeline, monkeypatch, ("prompts", "sample"))
    assert models.drawn.total() == 14


def test_a_truncated_answer_is_wrong_and_not_undecided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make_pipeline(tmp_path, sample={"max_tokens": 8})
    run = Models(answer_by_index(WORDS)).run(tmp_path / "run", pipeline, monkeypatch)
    assert {row["verdict"]["undecided"] for row in run.table("trajectories").iter_rows()} == {False}
    assert count_rejects(run) == {("repair", "truncated"): 28}


def test_figures_count_them_and_say_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = make_run(tmp_path / "run", monkeypatch, undecided="keep")
    numbers = json.loads(json.dumps(collect_numbers(open_finished(run.root))))
    groups = numbers["groups"]
    assert (groups["undecided"], groups["undecided_share"]) == (14, 0.5)
    assert (groups["pass_rate"], groups["pass_rate_of_decided"]) == (0.25, 0.5)
    assert (groups["mixed"], groups["all_wrong"]) == (7, 0)
    assert numbers["masks"]["undecided"] == 14
    stream = io.StringIO()
    Console(width=100, file=stream).print(tabulate_groups(groups))
    assert "undecided, counted as not right" in stream.getvalue()
    assert "pass rate without the undecided" in stream.getvalue()
    card = list_counts({"numbers": numbers}) + list_mask_figures({"numbers": numbers})
    assert "14 answers could not be read" in card
    assert "without them it was right in 50.0%" in card
    assert "of them undecided" in card


def test_a_run_without_any_prints_no_line_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = Models(answer_by_index(["fine", "poor", "fine", "poor"]), REPAIRS)
    run = models.run(tmp_path / "run", make_pipeline(tmp_path), monkeypatch)
    numbers = collect_numbers(open_finished(run.root))
    assert numbers["groups"]["undecided"] == 0
    assert numbers["groups"]["pass_rate_of_decided"] is None
    stream = io.StringIO()
    Console(width=100, file=stream).print(tabulate_groups(numbers["groups"]))
    assert "undecided" not in stream.getvalue()
    assert "undecided" not in list_mask_figures({"numbers": numbers})
