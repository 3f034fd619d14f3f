"""A run in a Storage Bucket is the run that it would be on a disk, whatever dies in between."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.cluster.bucket_jobs import EVERY, TABLES, BucketJob
from tests.support.bucket_runs import hash_objects, list_keys, move_to, open_bucket
from tests.support.forking import start_module
from tests.support.hub import Fault, HubStub
from tests.support.hub_api import TOKEN
from tests.support.scripted_models import Models
from tests.support.scripted_runs import hash_tables, invoke


def test_a_run_goes_on_from_machine_to_machine_and_is_read_from_anywhere(
    hub: HubStub,
    bucket: str,
    bucket_job: BucketJob,
    tmp_path: Path,
    models: Models,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, local = f"{bucket}/runs/a", bucket_job.pipeline.parent / "local"
    invoke("sample", bucket_job.pipeline, "--out", address, "--quiet")
    for stage in ("repair", "mask"):
        move_to(tmp_path / stage, monkeypatch)
        invoke(stage, address, "--quiet")
    assert hash_objects(address, TABLES) == bucket_job.calm
    rest = [key for key in list_keys(address) if not key.startswith(TABLES)]
    assert rest == ["run.json", "run.lock"], "nothing of the work stays"
    manifest = open_bucket(address).get("run.json")
    assert manifest is not None
    assert TOKEN.encode() not in manifest[0]
    move_to(tmp_path / "reader", monkeypatch)
    before = len(hub.log)
    status = json.loads(invoke("status", address, "--json").stdout)
    assert (status["run"], status["state"]) == (address, "finished")
    assert not list((tmp_path / "reader").rglob("*.parquet")), "a look fetches no table"
    assert len(hub.log) - before < 20
    there = json.loads(invoke("stats", address, "--json").stdout)
    here = json.loads(invoke("stats", local, "--json").stdout)
    assert there["run"] == address
    assert (there["counts"], there["rejects"]) == (here["counts"], here["rejects"])
    invoke("inspect", address, "--first", 2)
    move_to(tmp_path / "validator", monkeypatch)
    assert "sound" in invoke("validate", address).output
    invoke("export", address, "--to", "groups", "--out", tmp_path / "groups")
    invoke("export", local, "--to", "groups", "--out", tmp_path / "local-groups")
    exported = (hash_tables(tmp_path, [name]) for name in ("groups", "local-groups"))
    assert len({tuple(each.values()) for each in exported}) == 1
    monkeypatch.chdir(tmp_path)
    invoke("report", address)
    assert (tmp_path / "report.html").exists()
    drawn = models.drawn.total()
    invoke("run", address, "--quiet")
    assert models.drawn.total() == drawn
    assert not hub.count("POST", "/api/repos"), "nothing else is made on the Hub"
    for path in tmp_path.rglob("*"):
        if path.is_file() and not path.is_relative_to(tmp_path / "hub"):
            assert TOKEN.encode() not in path.read_bytes(), path


def start(hub: HubStub, folder: Path, die: int, machine: Path, *command: object) -> int:
    """Work in a process that dies before its n-th change of the bucket."""
    environment = {**os.environ, **hub.environment(folder / "home")}
    environment |= {"DFGEN_STAGING": str(machine), "OMP_NUM_THREADS": "1"}
    words = map(str, (folder / "paid", die, "--", *command, "--no-check", "--quiet"))
    process = start_module("tests.support.bucket_worker", *words, env=environment)
    _, err = process.communicate(timeout=600)
    assert process.returncode in (0, -signal.SIGKILL), err
    assert TOKEN not in err
    return int(process.returncode)


@pytest.mark.parametrize(
    "deaths", [(45,), pytest.param((9, 11, 13, 10, 12, 14) * 10, marks=pytest.mark.slow)]
)
def test_another_machine_goes_on_where_one_was_killed(
    hub: HubStub,
    bucket: str,
    bucket_job: BucketJob,
    tmp_path: Path,
    models: Models,
    monkeypatch: pytest.MonkeyPatch,
    deaths: tuple[int, ...],
) -> None:
    address, kills = f"{bucket}/a", 0
    for number, death in enumerate(deaths):
        source = (bucket_job.pipeline, "--out", address)
        if start(hub, tmp_path, death, tmp_path / f"machine-{number}", "run", *source) == 0:
            break
        kills += 1
    assert kills > len(deaths) // 10, "it was never killed in the middle"
    move_to(tmp_path / "last", monkeypatch)
    invoke("run", bucket_job.pipeline, "--out", address, "--quiet")
    assert hash_objects(address, TABLES) == bucket_job.calm
    move_to(tmp_path / "judge", monkeypatch)
    assert "sound" in invoke("validate", address).output
    # On a slow machine it may have died before anything was paid for: signs of life are changes.
    paid = (tmp_path / "paid").read_text().split() if (tmp_path / "paid").exists() else []
    again = len(paid) + models.asked.total() - bucket_job.requests
    assert 0 <= again <= EVERY * kills, "paid for twice"


def test_a_shard_whose_last_file_is_refused_is_undone(
    hub: HubStub,
    bucket: str,
    bucket_job: BucketJob,
    tmp_path: Path,
    models: Models,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its rejects are there, its rows are not: nobody takes it for finished. Where the note of a
    finished shard is refused, which comes after them, nothing is missing."""
    address = f"{bucket}/a"
    last = Fault("POST", "/batch", 403, holds=b"repairs/part-00001.parquet")
    note = Fault("POST", "/batch", 403, holds=b"sample-00001.done.json")
    for fault, named in ((note, "sample-00001.done.json"), (last, "repairs/part-00001.parquet")):
        hub.faults.append(fault)
        output = invoke("run", bucket_job.pipeline, "--out", address, "--quiet", code=1).output
        assert f"{address}/" in output
        assert named in output
        assert "the same command" in output
        assert not fault.times
        move_to(tmp_path / named.replace("/", "-"), monkeypatch)
    there = list_keys(address)
    assert "rejects/repair-00001.parquet" in there
    assert "repairs/part-00001.parquet" not in there
    status = json.loads(invoke("status", address, "--json").stdout)
    stage = next(each for each in status["stages"] if each["stage"] == "repair")
    assert stage["shards_done"] == sum(key.startswith("repairs/") for key in there) < 3
    invoke("run", address, "--quiet")
    assert models.drawn.total() == len(models.drawn), "nothing was drawn twice"
    assert hash_objects(address, TABLES) == bucket_job.calm
    assert "sound" in invoke("validate", address).output


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--shared"),
        ("run", "--shard", "0/2"),
        ("launch", "slurm", "--workers", "2", "--print"),
        ("launch", "slurm", "--workers", "2"),
        ("launch", "ray", "--workers", "2"),
    ],
)
def test_several_workers_are_refused_before_anything_is_made(
    bucket: str, bucket_job: BucketJob, words: tuple[str, ...]
) -> None:
    out = ("--out", f"{bucket}/a")
    command = (words[0], bucket_job.pipeline, *out, *words[1:])
    if words[0] == "launch":
        command = (*words[:2], bucket_job.pipeline, *out, *words[2:])
    output = " ".join(invoke(*command, code=1).output.split())
    assert f"{bucket}/a: several workers cannot share this run" in output
    for word in ("s3://", "gs://", "az://", "a disk that all workers see", "one process"):
        assert word in output
    assert list_keys(f"{bucket}/a") == []


def test_obstore_is_not_needed(hub: HubStub) -> None:
    """What the other tests of this folder rest on."""
    assert hub.xet
    assert sys.modules["obstore"] is None
    with pytest.raises(ImportError):
        __import__("obstore")
