"""kill -9 at any moment, type the same command again: the same files as an undisturbed run."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.end_to_end.conftest import RECIPE, SMALL, read_files, run_dfgen, start_dfgen
from tests.support.forking import Forked
from tests.support.killing import press_ctrl_c
from tests.support.waiting import wait_until


@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_runs_end_like_an_undisturbed_one(
    kills: int, finished_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "killed"
    command = ("run", RECIPE, "--out", run, *SMALL)
    moments = random.Random(0)
    killed = 0
    while killed < kills:
        process = start_dfgen(*command)
        # As many changes of the files as that, and no more than a moment.
        for _ in range(moments.randint(1, 3)):
            wait_for_work(run, process)
        time.sleep(moments.random() * 0.1)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        if process.returncode == -signal.SIGKILL:
            killed += 1
        else:
            # It was done before it could be killed; the next ones begin anew.
            assert process.returncode == 0
            shutil.rmtree(run)
    run_dfgen(*command)
    assert read_files(run) == read_files(finished_run)
    run_dfgen("validate", run)


def wait_for_work(run: Path, process: Forked) -> None:
    """Wait until this process has written something, or has ended."""
    before = snapshot(run)
    wait_until(lambda: snapshot(run) != before or process.poll() is not None)


def snapshot(run: Path) -> dict[str, int]:
    folders = ("prompts", "trajectories", "repairs", "masks", "journal")
    found = {}
    for folder in folders:
        for path in (run / folder).glob("*"):
            try:
                found[str(path)] = path.stat().st_size
            except FileNotFoundError:
                continue
    return found


def test_interrupt_drains_and_says_how_to_go_on(tmp_path: Path) -> None:
    """Also those that grade get a Ctrl-C of the terminal, while they start or work."""
    run = tmp_path / "interrupted"
    process = start_dfgen("run", RECIPE, "--out", run, *SMALL, "--set=prompts.count=60")
    wait_until(lambda: list((run / "journal").glob("sample-*")), lambda: process.poll() is None)
    press_ctrl_c(process.pid)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert err.count("Stopping: ") == err.count("Stopped. ") == 1, err
    assert err.index("Stopping: ") < err.index("Stopped. ") and "Traceback" not in err
    assert "the same command goes on" in err
    assert not (run / "run.lock").exists()


def test_second_process_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    run = tmp_path / "shared"
    first = start_dfgen("run", RECIPE, "--out", run, *SMALL, "--set=prompts.count=60")
    wait_until((run / "run.lock").exists, lambda: first.poll() is None)
    result = run_dfgen("run", RECIPE, "--out", run, *SMALL, code=1)
    assert str(first.pid) in result.stderr
    first.kill()
    first.communicate(timeout=60)
