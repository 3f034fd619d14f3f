"""Truncated samples drawn again: only those, and the run is sound throughout."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dfgen.config.pipeline import Pipeline
from dfgen.engines.base import Failure, Request, derive_seed
from dfgen.errors import ConfigError, DfgenError, EngineError
from dfgen.grade.pool import GradePool
from dfgen.runners.local import run_stages
from dfgen.stages.sample import retry as retrying
from dfgen.stages.sample.grading import Grading
from dfgen.stages.session import Session
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.stages.sample.test_stage import read, sample
from tests.support.stub_engine import StubEngine, make_pipeline

LONG = "Step 1: red circles: there are 3. " * 4 + "Answer: 3"
LIMIT = 16


def answer(request: Request) -> str:
    """Every other sample is long."""
    return LONG if int(request.key.rpartition("-")[2]) % 2 else "Answer: 3"


@pytest.fixture
def pipeline() -> Pipeline:
    return make_pipeline(sample={"max_tokens": LIMIT})


def retry(
    monkeypatch: pytest.MonkeyPatch, root: Path, pipeline: Pipeline, engine: Any, limit: int = 200
) -> Run:
    @contextmanager
    def open_stub(*settings: object) -> Iterator[Any]:
        yield engine

    monkeypatch.setattr(retrying, "open_engine", open_stub)
    run = Run.open_or_create(root, pipeline)
    with run.lock():
        assert retrying.retry_truncated(Session(run, pipeline), limit)
    return run


def test_only_truncated_rows_are_drawn_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pipeline: Pipeline
) -> None:
    before = read(sample(tmp_path / "run", pipeline, StubEngine(answer)))
    engine = StubEngine(answer)
    run = retry(monkeypatch, tmp_path / "run", pipeline, engine)
    after = read(run)
    assert sorted(engine.asked) == sorted(k for k in before if int(k[-1]) % 2)
    assert list(after) == list(before)
    for key, row in after.items():
        if int(key[-1]) % 2 == 0:
            assert row == before[key]
            continue
        assert before[key]["finish_reason"] == "length" and row["finish_reason"] == "stop"
        assert row["completion"] == LONG
        assert row["seed"] == derive_seed(0, row["prompt_id"], row["sample_index"])
        assert json.loads(row["metadata"]) == {
            "retried_up_to": 200,
            "earlier_draws": [
                {
                    "completion_tokens": LIMIT,
                    "finish_reason": "length",
                    "reward": 0.0,
                    "continued": True,
                }
            ],
        }
    facts = run.manifest.get_stage("sample").facts["retries"]
    assert facts == [
        {"reason": "length", "max_tokens": 200, "cells": 14, "still_truncated": 0, "refused": 0}
    ]
    assert audit(run) == []
    again = StubEngine(answer)
    retry(monkeypatch, tmp_path / "run", pipeline, again)
    assert again.asked == [], "nothing is left to do"


def test_rows_that_are_cut_again_can_be_drawn_a_third_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pipeline: Pipeline
) -> None:
    sample(tmp_path / "run", pipeline, StubEngine(answer))
    run = retry(monkeypatch, tmp_path / "run", pipeline, StubEngine(answer), 20)
    assert sum(row["finish_reason"] == "length" for row in read(run).values()) == 14
    same = StubEngine(answer)
    retry(monkeypatch, tmp_path / "run", pipeline, same, 20)
    assert same.asked == []
    rows = read(retry(monkeypatch, tmp_path / "run", pipeline, StubEngine(answer))).values()
    assert all(row["finish_reason"] == "stop" for row in rows)
    lengths = {len(json.loads(row["metadata"]).get("earlier_draws", [])) for row in rows}
    assert lengths == {0, 2}
    assert audit(run) == []


def test_a_longer_completion_that_does_not_fit_leaves_the_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pipeline: Pipeline
) -> None:
    before = read(sample(tmp_path / "run", pipeline, StubEngine(answer)))
    full = StubEngine(lambda request: Failure("prompt_too_long", "x"))
    run = retry(monkeypatch, tmp_path / "run", pipeline, full)
    for key, row in read(run).items():
        assert {**row, "metadata": ""} == {**before[key], "metadata": ""}
        if row["finish_reason"] == "length":
            refused = json.loads(row["metadata"])["retry_refused"]
            assert refused["reason"] == "prompt_too_long"
    assert audit(run) == []


@pytest.mark.parametrize("die_after", [1, 5, 8, 13])
def test_killed_in_the_middle_it_pays_for_nothing_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pipeline: Pipeline, die_after: int
) -> None:
    sample(tmp_path / "run", pipeline, StubEngine(answer))
    first = StubEngine(answer, batch=1, die_after=die_after)
    with pytest.raises(EngineError):
        retry(monkeypatch, tmp_path / "run", pipeline, first)
    assert audit(Run.open_or_create(tmp_path / "run", None)) == []
    second = StubEngine(answer)
    run = retry(monkeypatch, tmp_path / "run", pipeline, second)
    assert sorted(first.asked + second.asked) == sorted(k for k in read(run) if int(k[-1]) % 2)
    assert all(row["finish_reason"] == "stop" for row in read(run).values())
    assert audit(run) == []


def test_masks_of_the_old_rows_are_made_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pipeline: Pipeline
) -> None:
    sample(tmp_path / "run", pipeline, StubEngine(answer))
    run = Run.open_or_create(tmp_path / "run", pipeline)
    with run.lock():
        run_stages(Session(run, pipeline), ("mask",))
    assert audit(run) == []
    retry(monkeypatch, tmp_path / "run", pipeline, StubEngine(answer))
    run = Run.open_or_create(tmp_path / "run", pipeline)
    assert audit(run) == []
    with run.lock():
        run_stages(Session(run, pipeline), ("mask",))
    assert audit(run) == []
    masks = {row["trajectory_id"]: row for row in run.table("masks").iter_rows()}
    for key, row in read(run).items():
        assert masks[key]["completion_ids"] == row["completion_ids"]


def test_a_limit_that_is_not_larger(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pipeline: Pipeline
) -> None:
    sample(tmp_path / "run", pipeline, StubEngine(answer))
    with pytest.raises(ConfigError, match="larger limit"):
        retry(monkeypatch, tmp_path / "run", pipeline, StubEngine(answer), LIMIT)


MANY = {"count": 40, "shard_size": 10}
"""Four shards of 20 truncated cells each."""


def test_a_failing_grader_is_noticed_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After the first answers and not when all are drawn, which costs what the run costs."""
    pipeline = make_pipeline(prompts=MANY, sample={"max_tokens": LIMIT})
    sample(tmp_path / "run", pipeline, StubEngine(answer))
    failed = threading.Event()

    def fail(*arguments: Any) -> None:
        failed.set()
        raise DfgenError("no grading today")

    class Waits(StubEngine):
        """Draws no more than one shard before the graders have been heard of."""

        def generate(self, requests: Any) -> Iterator[Any]:
            for results in super().generate(requests):
                yield results
                if len(self.asked) >= 20:
                    assert failed.wait(60)

    monkeypatch.setattr(GradePool, "grade_batch", fail)
    engine = Waits(answer, batch=5)
    with pytest.raises(DfgenError, match="no grading today"):
        retry(monkeypatch, tmp_path / "run", pipeline, engine)
    assert len(engine.asked) <= 30, "80 are to be drawn"
    monkeypatch.undo()
    again = StubEngine(answer)
    run = retry(monkeypatch, tmp_path / "run", pipeline, again)
    assert len(again.asked) == 80 - len(engine.asked), "what was drawn is not drawn again"
    assert audit(run) == []


def test_no_more_waits_for_the_graders_than_is_allowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With graders that stand still the engine is fed no further shard."""
    pipeline = make_pipeline(prompts=MANY, sample={"max_tokens": LIMIT})
    sample(tmp_path / "run", pipeline, StubEngine(answer))
    grade, go_on = GradePool.grade_batch, threading.Event()
    engine, fed = StubEngine(answer, batch=5), []

    def stand_still(pool: GradePool, items: Any) -> Any:
        assert go_on.wait(60)
        return grade(pool, items)

    def wait(grading: Grading, backlog: int = 1) -> None:
        if len(grading._working) > backlog and not go_on.is_set():
            fed.append(len(engine.asked))
            go_on.set()  # the engine stands still as well now, for good if nobody grades
        real(grading, backlog)

    real = Grading.wait
    monkeypatch.setattr(GradePool, "grade_batch", stand_still)
    monkeypatch.setattr(Grading, "wait", wait)
    run = retry(monkeypatch, tmp_path / "run", pipeline, engine)
    assert fed == [20], "one shard is drawn, its grading and writing wait"
    assert len(engine.asked) == 80
    assert audit(run) == []
