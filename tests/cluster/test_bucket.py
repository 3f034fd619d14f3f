"""A run in a bucket is the run that it would be on a disk, byte by byte."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dfgen.config.pipeline import Pipeline
from tests.support.bucket_runs import (
    forget_mounts,
    hash_objects,
    list_keys,
    move_to,
    open_bucket,
)
from tests.support.scripted_models import Models, answer_by_index, make_pipeline
from tests.support.scripted_runs import hash_tables, invoke

pytestmark = pytest.mark.cluster

TABLES = ("prompts", "trajectories", "repairs", "masks", "rejects")


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    words = ["fine", "poor", "bad", "worse"]
    models = Models(
        answer_by_index(words), {"poor": ["fine"], "bad": ["bad", "fine"], "worse": ["no"]}
    )
    models.replace_engines(monkeypatch)
    return models


def run_locally(models: Models, pipeline: Path, out: Path) -> None:
    """Make the calm run on a disk; the repairer begins anew."""
    models.asked.clear()
    invoke("run", pipeline, "--out", out, "--quiet")
    models.asked.clear()


def leave_out_times(figures: object) -> str:
    return re.sub(r'"\w*second": [\d.]+', "", json.dumps(figures))


def write_pipeline(folder: Path, **sections: object) -> Path:
    pipeline: Pipeline = make_pipeline(folder, **sections)
    path = folder / "pipeline.yaml"
    path.write_text(json.dumps(pipeline.model_dump(mode="json", exclude_unset=True)), "utf-8")
    return path


def test_a_calm_run_is_the_one_on_a_disk(bucket: str, tmp_path: Path, models: Models) -> None:
    pipeline, address = write_pipeline(tmp_path / "q"), f"{bucket}/runs/a"
    run_locally(models, pipeline, tmp_path / "local")
    result = invoke("run", pipeline, "--out", address)
    assert str(tmp_path / "here") not in result.output
    local = hash_tables(tmp_path / "local", TABLES)
    assert len(local) > 10
    assert hash_objects(address, TABLES) == local
    there = [key for key in list_keys(address) if not key.startswith(TABLES)]
    assert there == ["run.json", "run.lock"], "nothing of the work stays"


def test_a_finished_run_is_read_from_anywhere(
    bucket: str, tmp_path: Path, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, address = write_pipeline(tmp_path / "q"), f"{bucket}/runs/a"
    run_locally(models, pipeline, tmp_path / "local")
    invoke("run", pipeline, "--out", address, "--quiet")
    for command in ("stats", "status"):
        move_to(tmp_path / command, monkeypatch)
        there = json.loads(invoke(command, address, "--json").stdout)
        here = json.loads(invoke(command, tmp_path / "local", "--json").stdout)
        assert there.pop("run") == address
        for name in ("run", "created"):
            here.pop(name, None)
            there.pop(name, None)
        if command == "stats":
            assert leave_out_times(there) == leave_out_times(here)
        else:
            assert there["state"] == "finished"
            assert there["spending"] == here["spending"]
        fetched = list((tmp_path / command).rglob("*.parquet"))
        assert not fetched or command == "stats", "a look fetches no table"
    move_to(tmp_path / "other", monkeypatch)
    assert "sound" in invoke("validate", address).output
    invoke("inspect", address, "--first", 2)
    invoke("export", address, "--to", "groups", "--out", tmp_path / "groups")
    invoke("export", tmp_path / "local", "--to", "groups", "--out", tmp_path / "local-groups")
    there, here = (hash_tables(tmp_path, [name]) for name in ("groups", "local-groups"))
    assert list(there.values()) == list(here.values())
    monkeypatch.chdir(tmp_path)
    invoke("report", address)
    assert (tmp_path / "report.html").exists()
    before = models.drawn.total(), models.asked.total()
    invoke("run", address)
    assert (models.drawn.total(), models.asked.total()) == before


def test_another_machine_goes_on(
    bucket: str, tmp_path: Path, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, address = write_pipeline(tmp_path / "q"), f"{bucket}/runs/a"
    for stage in ("sample", "repair", "mask"):
        move_to(tmp_path / f"machine-{stage}", monkeypatch)
        if stage == "sample":
            invoke("sample", pipeline, "--out", address)
        else:
            invoke(stage, address)
    run_locally(models, pipeline, tmp_path / "local")
    assert hash_objects(address, TABLES) == hash_tables(tmp_path / "local", TABLES)


def test_there_is_no_run_at_an_address(bucket: str) -> None:
    for command in ("stats", "status", "validate", "repair", "mask"):
        result = invoke(command, f"{bucket}/runs/none", code=1)
        assert f"{bucket}/runs/none" in result.output
        forget_mounts()


def test_a_folder_of_something_else_is_no_place_for_a_run(
    bucket: str, tmp_path: Path, models: Models
) -> None:
    address = f"{bucket}/mine"
    open_bucket(address).put("thesis.txt", b"years")
    result = invoke("run", write_pipeline(tmp_path / "q"), "--out", address, code=1)
    assert "thesis.txt" in result.output
    assert list_keys(address) == ["thesis.txt"]


def test_what_was_set_aside_counts_on_every_machine(
    bucket: str, tmp_path: Path, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was paid for, and counts against the limits of the run wherever the next start is."""
    address = f"{bucket}/runs/a"

    def count_requests() -> int:
        return int(json.loads(invoke("status", address, "--json").stdout)["spending"]["requests"])

    invoke("run", write_pipeline(tmp_path / "q"), "--out", address, "--quiet")
    before = count_requests()
    models.asked.clear()
    invoke("run", address, "--redo", "repair:0", "--yes", "--quiet")
    spent = count_requests()
    assert spent == before + models.asked.total() > before
    move_to(tmp_path / "there", monkeypatch)
    assert count_requests() == spent
    set_aside = {each.key: each.version for each in open_bucket(address).list("history/")}
    limit = f"repair.max_requests={spent}"
    invoke("run", address, "--redo", "repair:0", "--yes", "--quiet", "--set", limit, code=1)
    now = {each.key: each.version for each in open_bucket(address).list("history/")}
    assert {key.split("/")[1] for key in now} == {"0001", "0002"}
    assert {key: now.get(key) for key in set_aside} == set_aside, "it was written over"
