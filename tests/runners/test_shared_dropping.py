"""A worker that drops prompts does so when nobody else works on what is made of them."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from dfgen.stages.repair.spending import SpentCount
from dfgen.store.manifest import load_manifest
from dfgen.store.redoing import list_history
from dfgen.store.run import Run
from dfgen.store.shards import ShardTable
from dfgen.store.shared.claims import iter_claims
from dfgen.validate.audit import audit
from tests.support.forking import Forked
from tests.support.shared_runs import SharedRuns, finish, kill
from tests.support.waiting import wait_until

DROP = ("--set", "prompts.missing=drop")


@pytest.fixture
def runs(tmp_path: Path) -> SharedRuns:
    """Seven questions in four shards, six answers each."""
    return SharedRuns(tmp_path, {"prompts": {"shard_size": 2}, "sample": {"num_samples": 6}})


def lose_questions(runs: SharedRuns, *places: int) -> set[str]:
    """Take questions out of the source; returns the ids of their prompts."""
    source, table = runs.folder / "questions.jsonl", Run.open_or_create(runs.root, None)
    rows = source.read_text().splitlines()
    source.write_text("".join(f"{row}\n" for n, row in enumerate(rows) if n not in places))
    prompts = table.table("prompts")
    names = [row["prompt_id"] for n in prompts.shards() for row in prompts.iter_rows(n)]
    return {names[place] for place in places}


def hold_in(runs: SharedRuns, stage: str) -> Forked:
    """A worker that has a shard of a stage in hand and gets no answer."""
    if stage == "repair":
        finish(runs.start(command="sample"))
    asked = runs.count_asked()
    (runs.folder / "hold").touch()
    worker = runs.start()
    wait_until(lambda: runs.count_asked() != asked, lambda: worker.poll() is None)
    return worker


def waits_or_dropped(runs: SharedRuns, worker: Forked) -> bool:
    """Whether a worker waits for those who have the shards that it is to drop from, or has done so
    already. It claims first what nobody works on: prompts are read under another claim."""
    member = runs.find_worker(worker)
    claims = {claim.name: claim.token for claim in iter_claims(runs.files)}
    waits = member is not None and claims.get("prompts-00000") == member.token
    return waits or (runs.root / "history").exists()


def assert_dropped(runs: SharedRuns, dropped: set[str]) -> None:
    run = Run.open_or_create(runs.root, None)
    assert audit(run) == []
    for name in ("prompts", "trajectories", "repairs", "masks"):
        table = run.table(name)
        found = {row["prompt_id"] for n in table.shards() for row in table.iter_rows(n)}
        assert len(found) == 7 - len(dropped), name
        assert not found & dropped, name
    assert {run.manifest.get_stage(stage).state for stage in run.stages} == {"done"}
    assert not list(iter_claims(runs.files))


def assert_all_is_counted(runs: SharedRuns) -> None:
    """What was asked of dropped prompts, too."""
    asked = Counter(key.split()[0] for key in runs.count_asked().elements())
    run = Run.open_or_create(runs.root, None)
    assert SpentCount().count(run).requests == asked["repairer"]
    folders = [runs.root, *list_history(run)]
    tables = [
        ShardTable(folder / "trajectories", run.table("trajectories").model) for folder in folders
    ]
    assert sum(table.num_rows(n) for table in tables for n in table.shards()) == asked["policy"]


@pytest.mark.parametrize("stage", ["sample", "repair"])
def test_prompts_go_when_those_who_work_on_their_shards_are_done(
    runs: SharedRuns, stage: str
) -> None:
    runs.make_calm()
    first = hold_in(runs, stage)
    dropped = lose_questions(runs, 0, 3)
    second = runs.start(*DROP)
    wait_until(lambda: waits_or_dropped(runs, second), lambda: second.poll() is None)
    assert not (runs.root / "history").exists()
    (runs.folder / "hold").unlink()
    finish(first)
    said = finish(second)
    assert f"pid {first.pid}" in said
    assert_dropped(runs, dropped)
    assert not runs.list_repeated()
    assert_all_is_counted(runs)


def test_what_one_has_dropped_half_who_died_is_completed_before_others_work_on_it(
    runs: SharedRuns,
) -> None:
    """By one who was at work before, so that it is not what it begins with."""
    runs.make_calm()
    first = hold_in(runs, "repair")
    assert {claim.shard for claim in runs.list_claims()} == {("repair", 0), ("repair", 1)}
    dropped = lose_questions(runs, 5)
    second = runs.start(*DROP, step="0.5")
    manifest = runs.root / "run.json"
    copies = runs.root / "history"  # of the prompts: from then on they are to go
    wait_until(lambda: [*copies.glob("*/prompts/*.parquet")], lambda: second.poll() is None)
    kill(second)
    assert load_manifest(manifest).dropping
    (runs.folder / "hold").unlink()
    assert "completed the dropping of 1 prompt" in finish(first)
    finish(runs.start(*DROP))  # the reading of the source has died with the second
    assert_dropped(runs, dropped)
    assert_all_is_counted(runs)


def test_a_stop_ends_the_waiting_and_leaves_the_prompts(runs: SharedRuns) -> None:
    first = hold_in(runs, "repair")
    lose_questions(runs, 0)
    second = runs.start(*DROP)
    wait_until(lambda: waits_or_dropped(runs, second), lambda: second.poll() is None)
    second.send_signal(signal.SIGTERM)
    assert "the same command goes on from there" in finish(second, 130)
    (runs.folder / "hold").unlink()
    finish(first)
    assert not (runs.root / "history").exists()
    assert audit(Run.open_or_create(runs.root, None)) == []
