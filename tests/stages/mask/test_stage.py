"""The mask stage in one process and in several: the same files, chosen by what rows cost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dfgen.config.pipeline import Pipeline
from dfgen.stages.mask import stage
from dfgen.stages.session import Session
from dfgen.store.run import Run
from tests.support.sample_run import make_run

SHARDS = 4


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("masking") / "run", prompts=40, samples=4)


def open_unmasked(source: Path, root: Path, workers: int = 0) -> Session:
    """The run with its one shard four times over, and no masks."""
    shutil.copytree(source, root)
    run = Run.open_or_create(root, None)
    for table in (run.table("trajectories"), run.table("repairs")):
        for shard in range(1, SHARDS):
            shutil.copyfile(table.path(0), table.path(shard))
    run.table("masks").remove(0)
    pipeline = Pipeline.model_validate(run.manifest.pipeline | {"workers": workers})
    return Session(run, pipeline)


def read_masks(session: Session) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in session.run.table("masks").directory.iterdir()}


@pytest.mark.parametrize(
    ("seconds_per_shard", "here"),
    [(0.0, SHARDS), (0.01, SHARDS), (60.0, 1)],
)
def test_processes_are_started_when_shards_take_long(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds_per_shard: float,
    here: int,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    one = open_unmasked(source, tmp_path / "one", workers=1)
    stage.run_masking(one, list(range(SHARDS)))
    session = open_unmasked(source, tmp_path / "measured")
    done, now = count_shards(monkeypatch), 0.0

    def tell_time() -> float:
        return now + len(done) * seconds_per_shard

    stage.run_masking(session, list(range(SHARDS)), tell_time)
    assert len(done) == here
    assert read_masks(session) == read_masks(one)
    assert len(read_masks(one)) == SHARDS


def test_a_number_of_workers_is_what_is_used(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = count_shards(monkeypatch)
    stage.run_masking(open_unmasked(source, tmp_path / "two", workers=2), list(range(SHARDS)))
    assert not done
    stage.run_masking(
        open_unmasked(source, tmp_path / "one", workers=1), list(range(SHARDS)), iter_hours()
    )
    assert len(done) == SHARDS


def count_shards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Shards that this process masks."""
    done: list[int] = []
    original = stage.mask_shard

    def mask_shard(session: Session, shard: int) -> int:
        done.append(shard)
        return original(session, shard)

    monkeypatch.setattr(stage, "mask_shard", mask_shard)
    return done


def iter_hours() -> Callable[[], float]:
    """A clock on which everything takes an hour."""
    hours = iter(range(0, 10**6, 3600))
    return lambda: float(next(hours))
