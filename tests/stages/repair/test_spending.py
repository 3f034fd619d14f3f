"""What a run has spent, asked for again and again while shards come and go."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from dfgen.errors import DamagedFileError
from dfgen.stages.repair import spending
from dfgen.stages.repair.spending import Spent, SpentCount
from dfgen.status.spending import measure_spending
from dfgen.store.run import Run
from tests.support.full_run import make_full_run
from tests.support.paid_attempts import iter_attempts
from tests.support.sample_run import make_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.open_or_create(make_run(tmp_path / "run", prompts=6, samples=4), None)


def copy_shard(run: Run, target: int) -> None:
    for table in (run.table("repairs"), run.rejects("repair")):
        if table.exists(0):
            table.path(target).write_bytes(table.path(0).read_bytes())


def count_reads(monkeypatch: pytest.MonkeyPatch) -> Counter[Path]:
    """How often each shard is read."""
    reads: Counter[Path] = Counter()

    iter_costs = spending.iter_costs

    def watch(files: spending.RepairFiles, shard: int) -> object:
        reads[files.root / str(shard)] += 1
        return iter_costs(files, shard)

    monkeypatch.setattr(spending, "iter_costs", watch)
    return reads


def test_a_finished_shard_is_read_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    paid = SpentCount().count(run)
    requests, cost = paid.requests, paid.cost_usd
    assert requests > 0
    reads, spent = count_reads(monkeypatch), SpentCount()
    for shard in range(1, 20):
        assert spent.count(run) == Spent(shard * requests, pytest.approx(shard * cost))
        copy_shard(run, shard)
    assert set(reads.values()) == {1}


def test_what_has_changed_is_read_again(run: Run) -> None:
    spent = SpentCount()
    paid = spent.count(run)
    requests, cost = paid.requests, paid.cost_usd
    table = run.table("repairs")
    rows = list(table.iter_rows(0))
    attempts = sum(len(row["attempts"]) for row in rows)
    # As big and as old as before, if the disk's clock is coarse: still another file.
    before = table.path(0).stat()
    table.write(0, rows[:-1])
    os.utime(table.path(0), ns=(before.st_atime_ns, before.st_mtime_ns))
    fewer = spent.count(run).requests
    assert fewer == requests - len(rows[-1]["attempts"])
    table.remove(0)
    assert spent.count(run).requests == requests - attempts
    table.write(0, rows)
    assert spent.count(run) == Spent(requests, pytest.approx(cost))


def test_two_runs_are_two_accounts(run: Run, tmp_path: Path) -> None:
    other = Run.open_or_create(make_run(tmp_path / "other", prompts=3, samples=4), None)
    spent = SpentCount()
    assert spent.count(run) == SpentCount().count(run)
    assert spent.count(other) == SpentCount().count(other) != SpentCount().count(run)
    assert spent.count(run) == SpentCount().count(run)


def test_nothing_is_spent_in_a_new_run(run: Run, tmp_path: Path) -> None:
    from dfgen.config.pipeline import Pipeline

    pipeline = Pipeline.model_validate(run.manifest.pipeline)
    assert SpentCount().count(Run.open_or_create(tmp_path / "new", pipeline)) == Spent()


def test_costs_are_read_alone_and_are_those_of_all_attempts(tmp_path: Path) -> None:
    """Of repairs, tests, refused answers, controls, and of a journal beside them."""
    run = Run.open_or_create(make_full_run(tmp_path / "run"), None)
    with run.lock():
        reopen = {"trajectory_id": "t", "purpose": "repair", "about": None, "judged": False}
        attempt = next(row["attempt"] for row in run.table("controls").iter_rows())
        paid = attempt | {"cost_usd": 7.0}
        with run.journal("repair", 5) as journal:
            journal.append([reopen | {"attempt": paid}])
            journal.sync()
    files = spending.RepairFiles(run.root)
    costs = [cost for shard in (0, 5) for cost in spending.iter_costs(files, shard)]
    assert sorted(costs) == sorted(attempt["cost_usd"] for attempt in iter_attempts(run))
    assert 7.0 in costs and len(set(costs)) > 2


@pytest.mark.parametrize("count", [SpentCount().count, measure_spending])
def test_a_damaged_file_is_named_with_the_way_out_whoever_counts(
    run: Run, count: Callable[[Run], object]
) -> None:
    path = run.table("repairs").path(0)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DamagedFileError, match="--redo repair:0"):
        count(run)
