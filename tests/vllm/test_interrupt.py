"""Ctrl-C with the real vLLM, whose engine has processes of its own: one line at once, then the end.

A terminal sends SIGINT to the whole group, so vLLM's processes would get it, too.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

pytest.importorskip("vllm", reason="needs the environment of `make vllm-test`")

from tests.support.killing import list_below
from tests.vllm.running import (
    count_journal_lines,
    read_trajectories,
    run_dfgen,
    start_dfgen,
    wait_until,
    write_pipeline,
)

# Minutes where others use the processors, too.
pytestmark = pytest.mark.slow

OWN_PROCESS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "1", "TORCHDYNAMO_DISABLE": "1"}
STOPPING = "Stopping: "


def interrupt(process: object, group: int) -> str:
    os.killpg(group, signal.SIGINT)
    _, err = process.communicate(timeout=300)  # type: ignore[attr-defined]
    return str(err)


def check(code: int | None, err: str) -> None:
    assert code == 130, err[-3000:]
    assert err.count(STOPPING) == 1 and err.count("Stopped. ") == 1, err[-3000:]
    assert "Traceback" not in err and "fatal error" not in err, err[-6000:]
    assert err.index(STOPPING) < err.index("Stopped. ")


def read_command(pid: int) -> str:
    """The command line of a process that runs; empty if it has ended."""
    try:
        return Path("/proc", str(pid), "cmdline").read_text()
    except OSError:
        return ""


def test_while_loading(tmp_path: Path) -> None:
    """vLLM cannot be broken off there: the line comes at once, the end when it has loaded."""
    pipeline = write_pipeline(tmp_path / "policy.yaml")
    command = ("sample", pipeline, "--out", tmp_path / "run")
    process = start_dfgen(*command, start_new_session=True, **OWN_PROCESS)
    wait_until(
        lambda: any("spawn_main" in read_command(each) for each in list_below(process.pid)),
        process,
    )
    started = list_below(process.pid)
    err = interrupt(process, process.pid)
    check(process.returncode, err)
    assert "loading the model is finished first" in err
    assert not any(map(read_command, started))


def test_while_sampling(tmp_path: Path) -> None:
    pipeline = write_pipeline(tmp_path / "policy.yaml")
    run, longer = tmp_path / "run", "--set=prompts.count=40"
    command = ("sample", pipeline, "--out", run, longer)
    process = start_dfgen(*command, start_new_session=True, **OWN_PROCESS)
    wait_until(lambda: count_journal_lines(run) > 3, process)
    err = interrupt(process, process.pid)
    check(process.returncode, err)
    run_dfgen("sample", run, "--set=prompts.count=40")
    assert len(read_trajectories(run)) == 160
    run_dfgen("validate", run)
