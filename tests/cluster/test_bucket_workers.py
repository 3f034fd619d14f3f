"""Several workers share a run in a bucket: they race, one is killed, one wakes up too late."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cluster.bucket_jobs import EVERY, TABLES, BucketJob
from tests.support.bucket_runs import hash_objects, move_to, open_bucket
from tests.support.forking import Forked, start_module
from tests.support.scripted_runs import invoke
from tests.support.waiting import wait_until

pytestmark = pytest.mark.cluster

FROZEN_S = 15.0
"""Lease of one that is frozen; whoever is only slow has a minute."""


def start_worker(
    folder: Path, name: str, pipeline: Path, address: str, lease_s: float = 60.0
) -> Forked:
    """Start a worker, who repairs while there is no file `folder/hold`."""
    environment = {
        **os.environ,
        "DFGEN_STAGING": str(folder / f"machine-{name}"),
        "DFGEN_TEST_HOLD": str(folder / "hold"),
        "OMP_NUM_THREADS": "1",
    }
    words = (folder / f"paid-{name}", 0, "--", "run", pipeline, "--out", address, "--shared")
    options = ("--lease", lease_s, "--no-check", "--quiet")
    arguments = map(str, (*words, *options))
    return start_module("tests.support.bucket_worker", *arguments, env=environment)


def list_paid(folder: Path) -> Counter[str]:
    files = folder.glob("paid-*")
    return Counter(line for file in files for line in file.read_text().split())


def has_paid(folder: Path, name: str) -> bool:
    return (folder / f"paid-{name}").exists()


def wait_until_all_repair(folder: Path, workers: dict[str, Forked]) -> None:
    """Wait until each has been given an answer and waits for its next."""
    wait_until(
        lambda: all(has_paid(folder, name) for name in workers),
        lambda: all(worker.poll() is None for worker in workers.values()),
    )


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


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers look at parts of the run, as they do where all of it takes many requests."""
    monkeypatch.setenv("DFGEN_TEST_LARGE", "1")


@pytest.mark.usefixtures("large")
def test_workers_race_for_shards(
    bucket: str,
    shared_bucket_job: BucketJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Meanwhile somebody watches, who disturbs nobody and is not disturbed."""
    pipeline, address = shared_bucket_job.pipeline, f"{bucket}/a"
    (tmp_path / "hold").touch()
    workers = {name: start_worker(tmp_path, name, pipeline, address) for name in "ab"}
    wait_until_all_repair(tmp_path, workers)
    seen = tmp_path / "looks.jsonl"
    environment = {**os.environ, "DFGEN_STAGING": str(tmp_path / "machine-watching")}
    words = ("status", address, "--watch", "--json", "--every", "1")
    watcher = start_module("tests.support.to_file", seen, *words, env=environment)
    wait_until(lambda: seen.exists() and "\n" in seen.read_text(), lambda: watcher.poll() is None)
    (tmp_path / "hold").unlink()
    for each in (*workers.values(), watcher):
        end(each)
    looks = [json.loads(look) for look in seen.read_text().splitlines()]
    assert len(looks[0]["workers"]) == 2
    assert all(each["shards"] for each in looks[0]["workers"])
    assert looks[-1]["state"] == "finished"
    assert all(sorted(look) == sorted(looks[0]) for look in looks)
    assert check_outcome(tmp_path, address, shared_bucket_job.calm, monkeypatch) == 0


def test_a_worker_is_killed_and_others_take_over(
    bucket: str,
    shared_bucket_job: BucketJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline, address = shared_bucket_job.pipeline, f"{bucket}/a"
    (tmp_path / "hold").touch()
    workers = {name: start_worker(tmp_path, name, pipeline, address) for name in "ab"}
    wait_until_all_repair(tmp_path, workers)
    workers["a"].kill()
    workers["a"].communicate(timeout=60)
    (tmp_path / "hold").unlink()
    end(workers["b"])
    assert check_outcome(tmp_path, address, shared_bucket_job.calm, monkeypatch) <= EVERY


@pytest.mark.usefixtures("large")
def test_a_frozen_worker_wakes_up_too_late(
    bucket: str,
    shared_bucket_job: BucketJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline, address = shared_bucket_job.pipeline, f"{bucket}/a"
    (tmp_path / "hold").touch()
    frozen = start_worker(tmp_path, "a", pipeline, address, FROZEN_S)
    other = start_worker(tmp_path, "b", pipeline, address)
    wait_until_all_repair(tmp_path, {"a": frozen, "b": other})
    frozen.send_signal(signal.SIGSTOP)
    (tmp_path / "hold").unlink()
    end(other)
    versions = {each.key: each.version for each in open_bucket(address).list() if "/" in each.key}
    frozen.send_signal(signal.SIGCONT)
    _, err = frozen.communicate(timeout=120)
    assert frozen.returncode == 1, "it did not notice"
    assert "taken over" in err
    tables = {key: version for key, version in versions.items() if key.endswith(".parquet")}
    now = {each.key: each.version for each in open_bucket(address).list()}
    assert {key: now.get(key) for key in tables} == tables, "it wrote over what others have done"
    assert check_outcome(tmp_path, address, shared_bucket_job.calm, monkeypatch) <= EVERY + 1


def test_who_watches_sees_what_others_write(
    bucket: str,
    shared_bucket_job: BucketJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline, address = shared_bucket_job.pipeline, f"{bucket}/a"
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
