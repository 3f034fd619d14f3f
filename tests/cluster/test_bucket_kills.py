"""Whatever dies at whatever moment, another machine goes on from the bucket and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.bucket_jobs import EVERY, TABLES, BucketJob
from tests.support.bucket_runs import hash_objects, move_to
from tests.support.forking import start_module
from tests.support.scripted_runs import invoke

pytestmark = pytest.mark.cluster


def start(paid: Path, die: int, machine: Path, *command: object) -> int | None:
    environment = {**os.environ, "DFGEN_STAGING": str(machine), "OMP_NUM_THREADS": "1"}
    words = map(str, (paid, die, "--", *command, "--no-check", "--quiet"))
    process = start_module("tests.support.bucket_worker", *words, env=environment)
    _, err = process.communicate(timeout=300)
    assert process.returncode in (0, -signal.SIGKILL), err
    return process.returncode


@pytest.mark.parametrize("same_machine", [pytest.param(True, marks=pytest.mark.slow), False])
def test_a_run_that_is_killed_at_every_few_changes_ends_as_the_calm_one(
    bucket: str,
    bucket_job: BucketJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    same_machine: bool,
) -> None:
    address, paid = f"{bucket}/a", tmp_path / "paid"
    # A start makes a handful of changes (the lock, run.json) before it comes to a shard.
    deaths = kills = 0
    for number in range(60):
        machine = tmp_path / ("one" if same_machine else f"machine-{number}")
        deaths = 9 + number % 8
        if start(paid, deaths, machine, "run", bucket_job.pipeline, "--out", address) == 0:
            break
        kills += 1
    assert kills >= 5, "it was never killed in the middle"
    assert hash_objects(address, TABLES) == bucket_job.calm
    move_to(tmp_path / "judge", monkeypatch)
    assert "sound" in invoke("validate", address).output
    twice = sum(count - 1 for count in Counter(paid.read_text().split()).values())
    attempts = json.loads(invoke("status", address, "--json").stdout)["spending"]["requests"]
    again = len(paid.read_text().split()) - attempts
    assert again <= (1 if same_machine else EVERY) * kills, f"{twice} of {kills} kills"
