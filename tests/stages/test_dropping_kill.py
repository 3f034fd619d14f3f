"""A dropping of prompts that is killed is taken to its end by the next start, whatever it does."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfgen.config.pipeline import Pipeline
from dfgen.errors import DamagedFileError
from dfgen.runners.local import run_stages
from dfgen.stages.redo import read_redo, redo
from dfgen.stages.repair.spending import SpentCount
from dfgen.stages.session import Session
from dfgen.store.redoing import list_history
from dfgen.store.run import Run
from dfgen.store.shards import ShardTable
from dfgen.validate.audit import audit
from dfgen.validate.files import advise_repair, find_damage
from tests.stages.test_growth import Listener, ask, draw, make, read_source
from tests.stages.test_imports import SHARDED, import_answers, make_sharded_recipe
from tests.support.killing import Killed, kill_before_write

ROWS = [ask(i) for i in range(4)]
"""With the one that `make` puts in front: a shard of three and one of two."""


def iter_killed(
    base: Path, pipeline: Pipeline, patch: pytest.MonkeyPatch, step: int
) -> Iterator[Path]:
    """Copies of a run in which a reading was killed, some writes later each time; the last was
    not."""
    moment, broken = 0, True
    while broken:
        root = base.with_name(f"killed-{moment}")
        shutil.copytree(base, root)
        with patch.context() as breaking:
            kill_before_write(breaking, moment)
            try:
                read_source(root, pipeline)
                broken = False
            except Killed:
                pass
        yield root
        moment += step
    assert moment > 15


def count_rows(run: Run) -> dict[str, Counter[str]]:
    """How often each row that cost something is in the run or set aside, by stage and key."""
    found = {}
    for stage in ("sample", "repair"):
        table = run.output(stage)
        kept = [
            ShardTable(folder / table.directory.name, table.model) for folder in list_history(run)
        ]
        rows = (row for each in (table, *kept) for row in each.iter_rows(columns=["trajectory_id"]))
        found[stage] = Counter(row["trajectory_id"] for row in rows)
    return found


def start(root: Path, pipeline: Pipeline, *stages: str) -> list[str]:
    """Run stages that ask no model anything here; returns what was said."""
    listener, run = Listener(), Run.open_or_create(root, pipeline)
    with run.lock():
        assert run_stages(Session(run, pipeline, listener), stages)
    return listener.said


@pytest.mark.parametrize(("then", "step"), [("all", 1), ("others", 2), ("mask", 3), ("redo", 3)])
def test_a_killed_dropping_loses_and_doubles_nothing_whatever_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str, step: int
) -> None:
    base = tmp_path / "base"
    draw(base, make(tmp_path, ROWS), monkeypatch)
    before = Run.open_or_create(base, None)
    spent, rows = SpentCount().count(before).requests, count_rows(before)
    for root in iter_killed(base, make(tmp_path, ROWS[1:3], missing="drop"), monkeypatch, step):
        now = [*ROWS[:2], ROWS[3]] if then == "others" else ROWS
        pipeline = make(tmp_path, now, missing="drop" if then == "others" else "keep")
        if then == "mask":
            start(root, pipeline, "mask")
        elif then == "redo":
            run = Run.open_or_create(root, None)
            with run.lock():
                redo(run, [read_redo("repair:0")], agreed=True)
        else:
            read_source(root, pipeline)
        run = Run.open_or_create(root, None)
        assert count_rows(run) == rows, root.name
        assert SpentCount().count(run).requests == spent, root.name
        assert audit(run) == [], root.name
        make(tmp_path, ROWS[1:3])  # what the next one is killed at reading


def test_the_run_that_goes_on_has_what_a_calm_one_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Masks of dropped prompts are gone, those of the others there, and no model is asked."""
    base, calm = tmp_path / "base", tmp_path / "calm"
    draw(base, make(tmp_path, ROWS), monkeypatch)
    pipeline = make(tmp_path, ROWS[1:3], missing="drop")
    shutil.copytree(base, calm)
    said = read_source(calm, pipeline)
    expected = {str(p.relative_to(calm)): p.read_bytes() for p in calm.rglob("*.parquet")}
    for root in iter_killed(base, pipeline, monkeypatch, 2):
        killed = Run.open_or_create(root, None)
        if killed.manifest.dropping:
            damage = find_damage(killed)
            assert audit(killed, damage)[0].endswith("completes that before anything else")
            assert "--redo" not in advise_repair(killed, damage)
        models = draw(root, pipeline, monkeypatch)
        assert not models.drawn, root.name
        found = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*.parquet")}
        assert found == expected, root.name
        run = Run.open_or_create(root, None)
        assert {run.manifest.get_stage(stage).state for stage in run.stages} == {"done"}
        assert run.manifest.dropping == []
    assert said[0] == "no new prompts; 5 were there"


def test_a_damaged_file_does_not_lock_a_killed_dropping_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its checksum is not taken for a good one, and `--redo` of its shard is a way on."""
    root = tmp_path / "run"
    draw(root, make(tmp_path, ROWS), monkeypatch)
    pipeline = make(tmp_path, ROWS[1:3], missing="drop")
    with monkeypatch.context() as breaking:
        kill_before_write(breaking, 5)
        with pytest.raises(Killed):
            read_source(root, pipeline)
    run = Run.open_or_create(root, None)
    path = run.table("repairs").path(0)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DamagedFileError, match=r"repairs/part-00000\.parquet"):
        start(root, pipeline, "mask")
    run = Run.open_or_create(root, None)
    with run.lock():
        redo(run, [read_redo("repair:0")], agreed=True)
    draw(root, pipeline, monkeypatch)
    assert Run.open_or_create(root, None).manifest.dropping == []


def test_a_killed_dropping_of_an_import_is_completed_without_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many answers were imported is counted anew, too."""
    base = tmp_path / "base"
    import_answers(base, make_sharded_recipe(tmp_path))
    for moment in (1, 7, 10):
        root = tmp_path / f"killed-{moment}"
        shutil.copytree(base, root)
        tree = make_sharded_recipe(tmp_path, SHARDED[6:]).model_dump()
        tree["imports"]["missing"] = "drop"
        with monkeypatch.context() as breaking:
            kill_before_write(breaking, moment)
            with pytest.raises(Killed):
                import_answers(root, Pipeline.model_validate(tree))
        (tmp_path / "answers.jsonl").unlink()
        start(root, make_sharded_recipe(tmp_path, []), "mask")
        run = Run.open_or_create(root, None)
        assert audit(run) == [], moment
        left = run.table("trajectories").num_rows(0)
        assert left == (9 if moment == 1 else 3), moment
