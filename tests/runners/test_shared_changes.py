"""A shared run grows, or somebody wakes up late in it, and nothing that was paid for goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dfgen.config.pipeline import Pipeline
from dfgen.errors import RunLockedError, RunMismatchError
from dfgen.runners.shared import SharedWork, run_together
from dfgen.stages.session import Session
from dfgen.store import redoing
from dfgen.store.counts import count_rows
from dfgen.store.entries import ShardEntry, read_entry, write_entry
from dfgen.store.layout import JOURNAL, STAGES
from dfgen.store.manifest import RedoOrder
from dfgen.store.run import Run
from dfgen.store.shared.crew import name_record
from dfgen.store.shared.run import SharedRun
from tests.support.scripted_models import Models, answer_by_index, make_pipeline
from tests.support.shared_runs import assert_same


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    """Every second answer is wrong."""
    made = Models(answer_by_index(["fine", "poor", "fine", "poor"]), repairs={"poor": ["fine"]})
    made.replace_engines(monkeypatch)
    return made


@pytest.fixture
def few(tmp_path: Path) -> Pipeline:
    """Two answers to each question."""
    return make_pipeline(tmp_path, sample={"num_samples": 2})


@pytest.fixture
def more(few: Pipeline) -> Pipeline:
    """Three."""
    return few.model_copy(update={"sample": few.sample.model_copy(update={"num_samples": 3})})


def share(root: Path, pipeline: Pipeline) -> None:
    run = SharedRun.open_or_create(root, pipeline)
    with run.join(3600.0):
        assert run_together(Session(run, pipeline), STAGES)


def make_calm(folder: Path, few: Pipeline, more: Pipeline, patch: pytest.MonkeyPatch) -> Path:
    """What one process alone makes of the same."""
    models = Models(answer_by_index(["fine", "poor", "fine", "poor"]), repairs={"poor": ["fine"]})
    for pipeline in (few, more):
        models.run(folder / "calm", pipeline, patch)
    return folder / "calm"


def test_more_samples_are_drawn_where_all_was_done(
    tmp_path: Path,
    models: Models,
    few: Pipeline,
    more: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = tmp_path / "run"
    share(root, few)
    share(root, more)
    assert set(models.drawn.values()) == {1}
    assert count_rows(Run.open_or_create(root, None))["sample"]["output"] == 7 * 3
    assert_same(root, make_calm(tmp_path, few, more, monkeypatch))


def test_settings_that_do_not_fit_are_refused_where_all_is_done(
    tmp_path: Path, models: Models, few: Pipeline
) -> None:
    share(tmp_path / "run", few)
    with pytest.raises(RunMismatchError, match="seed"):
        share(tmp_path / "run", few.model_copy(update={"seed": few.seed + 1}))
    assert set(models.drawn.values()) == {1}


def test_who_found_a_stage_complete_and_notes_it_late_does_not_have_the_last_word(
    tmp_path: Path,
    models: Models,
    few: Pipeline,
    more: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = tmp_path / "run"
    share(root, few)
    before = Run.open_or_create(root, None).manifest.get_stage("sample").counts
    real = SharedWork._run

    def run_late(self: SharedWork, work: Any, tools: Any, shards: list[int]) -> None:
        real(self, work, tools, shards)
        if work.stage == "sample":
            Run.open_or_create(root, None).set_stage("sample", state="done", counts=before)

    monkeypatch.setattr(SharedWork, "_run", run_late)
    share(root, more)
    assert models.drawn
    assert_same(root, make_calm(tmp_path, few, more, monkeypatch))


def test_one_with_fewer_samples_ends_when_another_wants_more(
    tmp_path: Path,
    models: Models,
    few: Pipeline,
    more: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would take the same shards again and again, and find nothing to do in them."""
    root, real, turns = tmp_path / "run", SharedWork._run, []

    def run_once_before(self: SharedWork, work: Any, tools: Any, shards: list[int]) -> None:
        turns.append(work.stage)
        assert len(turns) < 20
        real(self, work, tools, shards)
        if len(turns) == 1:
            facts = tools.facts
            Run.open_or_create(root, None).check_stage("sample", more, facts)

    monkeypatch.setattr(SharedWork, "_run", run_once_before)
    with pytest.raises(RunMismatchError, match="num_samples"):
        share(root, few)
    assert turns == ["sample"]
    share(root, more)
    assert set(models.drawn.values()) == {1}


def test_an_entry_that_is_written_while_another_is_taken_in_stays(
    tmp_path: Path, few: Pipeline
) -> None:
    run = Run.open_or_create(tmp_path / "run", few)
    folder, real = run.root / JOURNAL, run.update
    old, new = ShardEntry(rows=2), ShardEntry(rows=3, generation=2)
    (run.root / "trajectories").mkdir()
    for shard in (0, 1):
        run.output("sample").path(shard).touch()
        write_entry(folder, "sample", shard, old)

    def write_meanwhile(change: Any) -> None:
        real(change)
        write_entry(folder, "sample", 1, new)

    run.update = write_meanwhile  # type: ignore[method-assign]
    run.take_in_entries("sample")
    assert run.manifest.shards["sample"] == {0: old, 1: old}
    assert read_entry(folder, "sample", 0) is None
    assert read_entry(folder, "sample", 1) == new == run.entry("sample", 1)


@pytest.mark.parametrize("stage", ["sample", "mask"])
def test_who_wakes_up_while_it_carries_out_an_order_to_redo_moves_nothing_that_is_new(
    tmp_path: Path, few: Pipeline, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """Others have carried it out, and have made the shard anew."""
    run = SharedRun.open_or_create(tmp_path / "run", few)
    path = run.output(stage).path(0)
    aside = run.root / "history" / "0001" / path.relative_to(run.root)
    order = RedoOrder(at="", folder="history/0001", asked={stage: [0]}, shards={stage: [0]})
    for folder in (path.parent, aside.parent):
        folder.mkdir(parents=True)
    path.write_text("old")
    with run.join(3600.0):
        run.update(lambda manifest: setattr(manifest, "redoing", order))
        token, crew = run.membership.token, run.membership.crew

        def freeze(found: Path) -> bool:
            if found != path:
                return False
            crew.files.delete(name_record(token))
            assert crew.is_gone(token)
            path.replace(aside)
            path.write_text("new")
            return True

        monkeypatch.setattr(redoing, "exists", freeze)
        with pytest.raises(RunLockedError, match="taken over"):
            redoing.complete_redo(run)
    assert (path.read_text(), aside.read_text()) == ("new", "old")


@pytest.mark.parametrize("alone", [False, True])
def test_an_order_to_redo_that_was_cut_off_is_carried_out(
    tmp_path: Path,
    models: Models,
    few: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    alone: bool,
) -> None:
    root = tmp_path / "run"
    share(root, few)
    order = RedoOrder(at="", folder="history/0001", asked={"sample": [0]}, shards={"sample": [0]})
    Run.open_or_create(root, None).update(lambda made: setattr(made, "redoing", order))
    aside = root / "history" / "0001" / "trajectories" / "part-00000.parquet"
    aside.parent.mkdir(parents=True)
    aside.hardlink_to(root / "trajectories" / "part-00000.parquet")  # killed in the middle
    if alone:
        models.run(root, few, monkeypatch)
    else:
        share(root, few)
    assert aside.exists()
    assert sorted(models.drawn.values()) == [1] * 8 + [2] * 6
    assert Run.open_or_create(root, None).manifest.redoing is None


def test_who_wakes_up_while_it_deletes_a_journal_leaves_what_others_have_begun(
    tmp_path: Path, few: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had made sure of its lease; then others drew more samples for the same shard."""
    run = SharedRun.open_or_create(tmp_path / "run", few)
    with run.join(3600.0):
        journal = run.journal("sample", 0)
        journal.append([{"paid": 1}])
        journal.close()
        paid = journal.path.with_name("0002-0123456789ab.jsonl")
        token, crew = run.membership.token, run.membership.crew

        def freeze() -> None:
            crew.files.delete(name_record(token))
            assert crew.is_gone(token)
            paid.write_text("paid")

        monkeypatch.setattr(journal, "_guard", freeze)
        with pytest.raises(RunLockedError, match="taken over"):
            journal.delete()
        assert paid.read_text() == "paid"
        assert journal.path.exists(), "others have read it, and delete it when they are done"
