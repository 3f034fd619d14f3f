"""What a run has spent, asked for again and again while shards come and go."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from dfgen.stages.repair import spending
from dfgen.stages.repair.spending import SpentCount
from dfgen.store.run import Run
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

    iter_shard = spending._iter_shard

    def watch(files: spending.RepairFiles, shard: int) -> object:
        reads[files.root / str(shard)] += 1
        return iter_shard(files, shard)

    monkeypatch.setattr(spending, "_iter_shard", watch)
    return reads


def test_a_finished_shard_is_read_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    requests, cost = SpentCount().count(run)
    assert requests > 0
    reads, spent = count_reads(monkeypatch), SpentCount()
    for shard in range(1, 20):
        assert spent.count(run) == (shard * requests, pytest.approx(shard * cost))
        copy_shard(run, shard)
    assert set(reads.values()) == {1}


def test_what_has_changed_is_read_again(run: Run) -> None:
    spent = SpentCount()
    requests, cost = spent.count(run)
    table = run.table("repairs")
    rows = list(table.iter_rows(0))
    attempts = sum(len(row["attempts"]) for row in rows)
    # As big and as old as before, if the disk's clock is coarse: still another file.
    before = table.path(0).stat()
    table.write(0, rows[:-1])
    os.utime(table.path(0), ns=(before.st_atime_ns, before.st_mtime_ns))
    fewer, _ = spent.count(run)
    assert fewer == requests - len(rows[-1]["attempts"])
    table.remove(0)
    assert spent.count(run)[0] == requests - attempts
    table.write(0, rows)
    assert spent.count(run) == (requests, pytest.approx(cost))


def test_two_runs_are_two_accounts(run: Run, tmp_path: Path) -> None:
    other = Run.open_or_create(make_run(tmp_path / "other", prompts=3, samples=4), None)
    spent = SpentCount()
    assert spent.count(run) == SpentCount().count(run)
    assert spent.count(other) == SpentCount().count(other) != SpentCount().count(run)
    assert spent.count(run) == SpentCount().count(run)


def test_nothing_is_spent_in_a_new_run(run: Run, tmp_path: Path) -> None:
    from dfgen.config.pipeline import Pipeline

    pipeline = Pipeline.model_validate(run.manifest.pipeline)
    assert SpentCount().count(Run.open_or_create(tmp_path / "new", pipeline)) == (0, 0.0)
