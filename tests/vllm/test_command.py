"""`dfgen sample` with the real vLLM: killed, resumed, interrupted, its engine shot."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm", reason="needs the environment of `make vllm-test`")

from tests.vllm.running import (
    count_journal_lines,
    read_trajectories,
    run_dfgen,
    start_dfgen,
    wait_until,
    write_pipeline,
)

SEPARATE = {"VLLM_ENABLE_V1_MULTIPROCESSING": "1"}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pipeline(tmp_path_factory.mktemp("pipelines") / "policy.yaml")


@pytest.fixture(scope="module")
def finished(pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "whole"
    out, _ = run_dfgen("sample", pipeline, "--out", run, "--json")
    assert json.loads(out)["counts"]["sample"]["output"] == 48, "stdout holds JSON and no more"
    run_dfgen("validate", run)
    return run


def test_kill_9_and_resume_give_the_same_data(
    pipeline: Path, finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "killed"
    command = ("sample", pipeline, "--out", run)
    seen = 0
    for _ in range(2):
        process = start_dfgen(*command)
        wait_until(lambda: count_journal_lines(run) > 5, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        seen += count_journal_lines(run)
    assert seen, "there was something to go on from"
    run_dfgen(*command)
    run_dfgen("validate", run)
    ours, theirs = read_trajectories(run), read_trajectories(finished)
    assert ours.keys() == theirs.keys()
    for key, row in ours.items():
        # The last digits of a logprob may depend on who shares the batch; nothing else does.
        logprobs = pytest.approx(theirs[key]["logprobs"], abs=1e-5)
        assert row["logprobs"] == logprobs
        assert {**row, "logprobs": 0} == {**theirs[key], "logprobs": 0}


def test_an_engine_in_a_process_of_its_own_draws_the_same(
    pipeline: Path, finished: Path, tmp_path: Path
) -> None:
    """vLLM's default; what only its workers know is in the manifest all the same."""
    run = tmp_path / "separate"
    run_dfgen("sample", pipeline, "--out", run, **SEPARATE)
    ours, theirs = read_trajectories(run), read_trajectories(finished)
    assert {k: r["completion_ids"] for k, r in ours.items()} == {
        k: r["completion_ids"] for k, r in theirs.items()
    }
    engines = [read_engine(each) for each in (run, finished)]
    assert engines[0] == engines[1]
    assert engines[0]["settings"]["attention"] == "CPU_ATTN"


def test_a_grown_group_keeps_what_it_has(pipeline: Path, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "grown"
    run_dfgen("sample", pipeline, "--out", run, "--set=sample.num_samples=2")
    before = read_trajectories(run)
    run_dfgen("sample", pipeline, "--out", run)
    after = read_trajectories(run)
    assert len(before) == 24 and len(after) == 48
    assert {key: after[key] for key in before} == before
    for key, row in after.items():
        assert row["completion_ids"] == read_trajectories(finished)[key]["completion_ids"]
    _, err = run_dfgen("sample", pipeline, "--out", run, "--set=sample.temperature=0.5", code=1)
    assert "sample.temperature" in err


def test_an_engine_in_a_process_of_its_own_that_is_shot(
    pipeline: Path, finished: Path, tmp_path: Path
) -> None:
    """One clear error, everything finished on disk, the same command resumes."""
    run = tmp_path / "shot"
    process = start_dfgen("sample", pipeline, "--out", run, **SEPARATE)
    wait_until(lambda: count_journal_lines(run) > 3, process)
    children = list_children(process.pid)
    assert children
    for child in children:
        os.kill(child, signal.SIGKILL)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1, err[-3000:]
    assert "the vLLM engine has stopped working" in err and "goes on from there" in err
    assert "Traceback" not in err.split("Error: the vLLM")[-1]
    assert count_journal_lines(run) or list((run / "trajectories").glob("*.parquet"))
    run_dfgen("sample", pipeline, "--out", run)
    ours, theirs = read_trajectories(run), read_trajectories(finished)
    assert {k: r["completion_ids"] for k, r in ours.items()} == {
        k: r["completion_ids"] for k, r in theirs.items()
    }


@pytest.mark.parametrize("env", [{}, SEPARATE], ids=["in process", "own process"])
def test_an_interrupt_ends_in_order(pipeline: Path, tmp_path: Path, env: dict[str, str]) -> None:
    run = tmp_path / "interrupted"
    process = start_dfgen(
        "sample", pipeline, "--out", run, "--set=prompts.count=80", start_new_session=True, **env
    )
    wait_until(lambda: count_journal_lines(run) > 3, process)
    # To the whole group, as a terminal does it: the engine's own process gets it too.
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err[-3000:]
    assert "the same command goes on" in err


def read_engine(run: Path) -> dict[str, Any]:
    """What the manifest says of the engine."""
    from dfgen.store.run import Run

    engine: dict[str, Any] = (
        Run.open_or_create(run, None).manifest.get_stage("sample").facts["engine"]
    )
    return engine


def list_children(pid: int) -> list[int]:
    """Process ids of a process's children that run an engine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
            command = path.with_name("comm").read_text() + path.with_name("cmdline").read_text()
        except OSError:
            continue
        if int(fields[1]) == pid and "EngineCore" in command:
            found.append(int(path.parent.name))
    return found
