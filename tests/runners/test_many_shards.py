"""A shard costs a worker no more where there are many of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dfgen.stages.repair.spending import Spent, SpentCount
from dfgen.stages.sample.drawing_time import DrawingTime
from dfgen.stages.value import shard as value_shard
from dfgen.stages.value.shard import Choices
from dfgen.store.layout import MANIFEST
from dfgen.store.run import Run
from tests.support.many_shards import count_calls, make_run

FEW, MANY = 128, 1024


def test_what_a_worker_asks_the_disk_for_grows_with_its_shards_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = (
        count_calls(make_run(tmp_path / f"{shards}", shards), monkeypatch) for shards in (FEW, MANY)
    )
    assert few["files looked at"] > FEW, "the counters work"
    for what in few:
        assert many[what] / MANY <= 1.3 * few[what] / FEW, what


def test_a_run_json_that_has_not_changed_is_not_read_again(tmp_path: Path) -> None:
    run = Run.open_or_create(make_run(tmp_path / "run", 2), None)
    other = Run.open_or_create(run.root, None)
    run.refresh()
    known = run.manifest
    run.refresh()
    assert run.manifest is known
    other.set_stage("mask", state="running", counts={})
    run.refresh()
    assert run.manifest.get_stage("mask").state == "running"
    path = run.root / MANIFEST
    path.write_text(path.read_text().replace('"running"', '"pending"'))  # not by dfgen, in place
    run.refresh()
    assert run.manifest.get_stage("mask").state == "pending"


def test_passes_are_noted_now_and_then_and_all_at_the_end(tmp_path: Path) -> None:
    run = Run.open_or_create(make_run(tmp_path / "run", 1), None)
    notes: list[Any] = []
    real = run.note_stage
    run.note_stage = lambda *each: (notes.append(each), real(*each))[1]  # type: ignore[method-assign]
    drawing = DrawingTime(run)
    for _ in range(1000):
        drawing.add(cells=8, tokens=16, seconds=0.5)
    drawing.note()
    drawing.note()
    said = run.manifest.get_stage("sample").facts["drawn"]
    assert said == {"cells": 8000, "tokens": 16000, "seconds": 500.0}
    assert len(notes) < 40


def test_what_was_spent_is_looked_for_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    run: Any = SimpleNamespace(root=Path("run"))
    looks: list[int] = []
    count = SpentCount()

    def look(_: Any) -> Spent:
        looks.append(1)
        count._known = {(run.root, shard): (frozenset(), Spent()) for shard in range(1280)}
        return Spent(100 * len(looks), 0.0)

    monkeypatch.setattr(count, "count", look)
    assert count.count_now_and_then(run).requests == 100
    for number in range(10):
        count.remember(run, Spent(101 + number, 0.0))
        assert count.count_now_and_then(run).requests == 101 + number
    assert count.count_now_and_then(run).requests == 200, "others are counted again"


def test_values_choose_again_when_the_run_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[set[str]] = []
    monkeypatch.setattr(
        value_shard, "choose_trajectories", lambda _: chosen.append({"a"}) or chosen[-1]
    )
    monkeypatch.setattr(value_shard, "read_given", lambda *_: {})
    choices, pipeline = Choices(), object()
    session: Any = SimpleNamespace(run=SimpleNamespace(manifest=object()), pipeline=pipeline)
    assert choices.read(session) == choices.read(session)
    assert len(chosen) == 1
    session.run.manifest = object()
    choices.read(session)
    assert len(chosen) == 2
