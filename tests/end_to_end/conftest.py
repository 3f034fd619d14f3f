"""A small run of the real demo: real models, real store, through the real command."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.forking import Forked, start_module

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "pipelines" / "demo.yaml"
# Small enough for seconds, with shards and batches that end at odd places.
SMALL = (
    "--set=prompts.count=14",
    "--set=prompts.shard_size=5",
    "--set=sample.num_samples=3",
    "--set=policy.batch_size=4",
    "--set=repair.engine.batch_size=4",
)


def start_dfgen(*arguments: str | Path) -> Forked:
    return start_module("dfgen", *arguments, env={**os.environ, "OMP_NUM_THREADS": "1"})


def run_dfgen(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    process = start_dfgen(*arguments)
    out, err = process.communicate(timeout=300)
    result = subprocess.CompletedProcess(process.args, process.wait(), out, err)
    assert result.returncode == code, f"exit {result.returncode}\n{out}\n{err}"
    return result


def read_files(run: Path) -> dict[str, bytes]:
    """Every final file of a run by name; the manifest holds times and is left out."""
    return {
        str(path.relative_to(run)): path.read_bytes()
        for folder in ("prompts", "trajectories", "repairs", "masks", "rejects")
        for path in sorted((run / folder).glob("*.parquet"))
    }


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "small"
    run_dfgen("run", RECIPE, "--out", run, *SMALL)
    return run
