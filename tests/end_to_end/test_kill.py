"""kill -9 at any moment, type the same command again: the same files as an undisturbed run."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

from tests.end_to_end.conftest import RECIPE, SMALL, read_files, run_dfgen, start_dfgen

KILLS = 5


def test_killed_runs_end_like_an_undisturbed_one(finished_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "killed"
    command = ("run", RECIPE, "--out", run, *SMALL)
    moments = random.Random(0)
    killed = 0
    for _ in range(KILLS):
        process = start_dfgen(*command)
        wait_for_work(run, process, moments.random() * 1.5)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        killed += process.returncode == -signal.SIGKILL
    assert killed >= 3, "the runs ended before they could be killed: make them longer"
    run_dfgen(*command)
    assert read_files(run) == read_files(finished_run)
    run_dfgen("validate", run)


def wait_for_work(run: Path, process, delay: float) -> None:
    """Wait until this process has written something, then a little longer."""
    start = time.monotonic()
    before = snapshot(run)
    while time.monotonic() - start < 60 and process.poll() is None:
        if snapshot(run) != before:
            time.sleep(delay)
            return
        time.sleep(0.02)


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
    run = tmp_path / "interrupted"
    process = start_dfgen("run", RECIPE, "--out", run, *SMALL, "--set=prompts.count=60")
    wait_for_work(run, process, 0.0)
    while not list((run / "journal").glob("sample-*")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "the same command goes on" in err
    assert not (run / "run.lock").exists()


def test_second_process_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    run = tmp_path / "shared"
    first = start_dfgen("run", RECIPE, "--out", run, *SMALL, "--set=prompts.count=60")
    while not (run / "run.lock").exists() and first.poll() is None:
        time.sleep(0.02)
    result = run_dfgen("run", RECIPE, "--out", run, *SMALL, code=1)
    assert str(first.pid) in result.stderr
    first.kill()
    first.communicate(timeout=60)
