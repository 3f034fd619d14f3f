"""What a batch script does with signals, in a real bash; the words of Slurm are in its options."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfgen.errors import ConfigError
from dfgen.runners.slurm_script import REQUEUES, write_directive, write_log_path, write_script
from tests.support.waiting import wait_until

WORKER = """
import signal, sys, time
from pathlib import Path
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
Path(sys.argv[1]).touch()
while not told and not Path(sys.argv[2]).exists():
    time.sleep(0.01)
time.sleep(0.2)
sys.exit(130 if told else int(sys.argv[3]))
"""


class Task:
    """A batch script at work, as the processes of a task are: one group."""

    def __init__(self, folder: Path, code: int = 0, restarts: int = 0) -> None:
        self.ready, self.finish, self.requeued = (folder / n for n in ("ready", "go", "requeued"))
        tools = folder / "bin"
        tools.mkdir()
        scontrol = tools / "scontrol"
        scontrol.write_text(f'#!/bin/bash\necho "$@" >> {self.requeued}\n')
        scontrol.chmod(0o755)
        words = [sys.executable, "-c", WORKER, str(self.ready), str(self.finish), str(code)]
        script = folder / "task.sh"
        script.write_text(write_script([], words, ["export SET=up"]))
        names = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}
        names |= {"SLURM_RESTART_COUNT": str(restarts)}
        self.process = subprocess.Popen(
            ["bash", str(script)],
            env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", **names},
            start_new_session=True,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(self.ready.exists, lambda: self.process.poll() is None)

    def end(self) -> tuple[int, str]:
        """Wait for its end; returns the exit code and what it said."""
        _, said = self.process.communicate(timeout=300)
        return self.process.returncode, said


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_task_ends_as_its_worker_does(code: int, folder: Path) -> None:
    task = Task(folder, code)
    task.finish.touch()
    assert task.end()[0] == code
    assert not task.requeued.exists()


def test_a_task_whose_time_is_nearly_up_is_drained_and_queued_again(folder: Path) -> None:
    task = Task(folder)
    task.process.send_signal(signal.SIGUSR1)
    assert task.end()[0] == 0
    assert task.requeued.read_text() == "requeue 7_3\n"


def test_a_task_that_has_ended_meanwhile_is_not_queued_again(folder: Path) -> None:
    task = Task(folder, code=1)
    os.kill(task.process.pid, signal.SIGSTOP)
    task.finish.touch()
    os.kill(task.process.pid, signal.SIGUSR1)
    os.kill(task.process.pid, signal.SIGCONT)
    code, _ = task.end()
    # The worker was told or was not, and either way says itself how it ended.
    assert (code, task.requeued.exists()) in ((1, False), (0, True))


def test_a_task_that_is_cancelled_does_not_come_back(folder: Path) -> None:
    """Slurm sends TERM to every process of it; the script waits for the worker's end."""
    task = Task(folder)
    os.killpg(task.process.pid, signal.SIGTERM)
    assert task.end()[0] == 130
    assert not task.requeued.exists()


def test_a_task_that_comes_back_for_ever_ends(folder: Path) -> None:
    task = Task(folder, restarts=REQUEUES)
    task.process.send_signal(signal.SIGUSR1)
    code, said = task.end()
    assert code == 130
    assert f"{REQUEUES} times" in said
    assert not task.requeued.exists()


@pytest.mark.parametrize("value", ["a\nb", "a\\b", "a\x07"])
def test_what_a_script_cannot_say_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="cannot hold"):
        write_directive("chdir", value)
    with pytest.raises(ConfigError, match="--logs"):
        write_log_path(value, "sample")


@pytest.mark.parametrize("word", ["/runs/\udcff", "a\0b"])
def test_what_no_text_can_hold_is_refused(word: str) -> None:
    with pytest.raises(ConfigError):
        write_script([], ["dfgen", word], [])


def test_signs_that_mean_something_to_slurm_are_escaped() -> None:
    assert write_directive("chdir", "/a b/'c'#\"d\"") == '--chdir="/a b/\'c\'#\\"d\\""'
    assert write_directive("requeue", None) == "--requeue"
    assert write_log_path("/100%j", "mask") == "/100%%j/mask-%A_%a.log"
