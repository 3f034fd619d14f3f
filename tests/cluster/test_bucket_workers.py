"""Several workers share a run in a bucket: they race, one is killed, one wakes up too late."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cluster.test_bucket_kills import EVERY, TABLES, run_calmly, write_pipeline
from tests.support.bucket_runs import hash_objects, move_to, open_bucket
from tests.support.forking import Forked, start_module
from tests.support.scripted_runs import invoke
from tests.support.waiting import wait_until

pytestmark = pytest.mark.cluster

LEASE_S = 3.0


def start_worker(folder: Path, name: str, pipeline: Path, address: str) -> Forked:
    environment = {
        **os.environ,
        "DFGEN_STAGING": str(folder / f"machine-{name}"),
        "DFGEN_TEST_DELAY_S": "0.2",
        "OMP_NUM_THREADS": "1",
    }
    words = (folder / f"paid-{name}", 0, "--", "run", pipeline, "--out", address, "--shared")
    words = (*words, "--lease", LEASE_S, "--no-check", "--quiet")
    return start_module("tests.support.bucket_worker", *map(str, words), env=environment)


def list_paid(folder: Path) -> Counter[str]:
    files = folder.glob("paid-*")
    return Counter(line for file in files for line in file.read_text().split())


def has_paid(folder: Path, name: str) -> bool:
    return (folder / f"paid-{name}").exists()


def end(process: Forked) -> str:
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return err


def check_outcome(
    folder: Path, address: str, calm: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> int:
    """The tables are the calm run's and it is sound; returns how often something was paid again."""
    assert hash_objects(address, TABLES) == calm
    move_to(folder / "judge", monkeypatch)
    assert "sound" in invoke("validate", address).output
    status = json.loads(invoke("status", address, "--json").stdout)
    assert status["state"] == "finished"
    return list_paid(folder).total() - int(status["spending"]["requests"])


def test_workers_race_for_shards(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, address = write_pipeline(tmp_path / "q", shard_size=1), f"{bucket}/a"
    calm = run_calmly(pipeline, tmp_path / "local", monkeypatch)
    workers = [start_worker(tmp_path, name, pipeline, address) for name in "ab"]
    for each in workers:
        end(each)
    assert check_outcome(tmp_path, address, calm, monkeypatch) == 0
    assert all(has_paid(tmp_path, name) for name in "ab"), "one did everything"


def test_a_worker_is_killed_and_others_take_over(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, address = write_pipeline(tmp_path / "q", shard_size=1), f"{bucket}/a"
    calm = run_calmly(pipeline, tmp_path / "local", monkeypatch)
    victim, other = (start_worker(tmp_path, name, pipeline, address) for name in "ab")
    wait_until(lambda: has_paid(tmp_path, "a"), lambda: victim.poll() is None)
    victim.kill()
    victim.communicate(timeout=60)
    end(other)
    assert check_outcome(tmp_path, address, calm, monkeypatch) <= EVERY


def test_a_frozen_worker_wakes_up_too_late(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, address = write_pipeline(tmp_path / "q", shard_size=1), f"{bucket}/a"
    calm = run_calmly(pipeline, tmp_path / "local", monkeypatch)
    frozen, other = (start_worker(tmp_path, name, pipeline, address) for name in "ab")
    wait_until(lambda: has_paid(tmp_path, "a"), lambda: frozen.poll() is None)
    frozen.send_signal(signal.SIGSTOP)
    time.sleep(LEASE_S)
    end(other)
    versions = {each.key: each.version for each in open_bucket(address).list() if "/" in each.key}
    frozen.send_signal(signal.SIGCONT)
    _, err = frozen.communicate(timeout=120)
    assert frozen.returncode == 1, "it did not notice"
    assert "taken over" in err
    tables = {key: version for key, version in versions.items() if key.endswith(".parquet")}
    now = {each.key: each.version for each in open_bucket(address).list()}
    assert {key: now.get(key) for key in tables} == tables, "it wrote over what others have done"
    assert check_outcome(tmp_path, address, calm, monkeypatch) <= EVERY + 1


def test_who_watches_sees_what_others_write(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, address = write_pipeline(tmp_path / "q", shard_size=1), f"{bucket}/a"
    starts = iter((["sample", pipeline, "--out", address], ["run", address]))

    def let_another_work(_: float = 0.0) -> None:
        words = ["--", *next(starts), "--no-check", "--quiet"]
        environment = {**os.environ, "DFGEN_STAGING": str(tmp_path / "machine-a")}
        words = [str(word) for word in (tmp_path / "paid-a", 0, *words)]
        end(start_module("tests.support.bucket_worker", *words, env=environment))

    let_another_work()
    monkeypatch.setattr("dfgen.cli.commands.status.time", SimpleNamespace(sleep=let_another_work))
    looks = invoke("status", address, "--watch", "--json").stdout.splitlines()
    states = [json.loads(look)["state"] for look in looks]
    assert states == ["unfinished", "finished"]
