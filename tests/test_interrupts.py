"""Ctrl-C goes to the parent alone: children that are just starting never see it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import pytest

from dfgen.interrupts import shield_children
from dfgen.stages import stopping
from tests.support.waiting import wait_until

CHILD = "import sys, time; print('up', flush=True); time.sleep(float(sys.argv[1])); print('whole')"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_child_that_is_starting_lives_through_what_a_terminal_sends(
    number: signal.Signals,
) -> None:
    with shield_children():
        started = subprocess.Popen([sys.executable, "-c", CHILD, "0.5"], stdout=subprocess.PIPE)
    with started as child:
        child.send_signal(number)  # before it has imported anything
        assert child.stdout is not None
        assert child.stdout.read() == b"up\nwhole\n"
    assert child.returncode == 0


def test_an_unshielded_child_dies_of_it() -> None:
    command = [sys.executable, "-c", CHILD, "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
    assert child.returncode != 0


def test_the_parent_is_told_meanwhile() -> None:
    told: list[bool] = []
    before = signal.signal(signal.SIGINT, lambda *_: told.append(True))
    try:
        with shield_children():
            os.kill(os.getpid(), signal.SIGINT)
            wait_until(lambda: told)
    finally:
        signal.signal(signal.SIGINT, before)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


WAITING = """
import signal, time
from dfgen.interrupts import shield_children

def end(*_):
    raise SystemExit(7)

signal.signal(signal.SIGINT, end)
with shield_children():
    print("up", flush=True)
    time.sleep(3600)
"""


def test_a_parent_that_waits_meanwhile_is_woken(tmp_path: Path) -> None:
    """Another thread takes the signal: without help this one would sleep on."""
    script = tmp_path / "script.py"
    script.write_text(WAITING)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE) as waiting:
        assert waiting.stdout is not None
        waiting.stdout.readline()
        waiting.send_signal(signal.SIGINT)
        try:
            assert waiting.wait(60) == 7
        finally:
            waiting.kill()


HALF_STARTED = """
import multiprocessing, os, signal, time
from multiprocessing import util
from dfgen.interrupts import ending_children, shield_children

if __name__ == "__main__":
    start = util.spawnv_passfds

    def start_and_interrupt(*given):
        # The moment in which a child runs and was not yet told what it is for.
        start(*given)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(3600)

    try:
        with shield_children(), ending_children():
            util.spawnv_passfds = start_and_interrupt
            multiprocessing.get_context("spawn").Process(target=print).start()
    except KeyboardInterrupt:
        print("ended")
"""


def test_an_interrupt_that_a_library_swallows_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "AGAIN_S", 0.05)
    told: list[str] = []
    with (
        stopping.StopSignal(told.append) as stop,
        pytest.raises(stopping.LoadingStopped),
        shield_children(),
        stop.giving_up(),
    ):
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
        time.sleep(60)
    assert told == ["given up"]


def test_a_child_that_is_half_started_ends_without_a_word(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(HALF_STARTED)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("ended\n", "")


def test_shielding_leaves_signals_as_they_were() -> None:
    before = signal.getsignal(signal.SIGURG)
    with shield_children(), shield_children():
        pass
    assert signal.getsignal(signal.SIGURG) == before
    assert signal.set_wakeup_fd(-1) == -1


SCRIPT = """
import os, signal, sys
from pathlib import Path
from dfgen.config.grade import GradeConfig
from dfgen.grade.pool import GradePool
from dfgen.grade.verdict import GradeItem
from dfgen.stages.workers import open_processes

if __name__ == "__main__":
    sent = signal.Signals[sys.argv[1]]
    signal.signal(sent, lambda *_: None)
    with open_processes(2, int) as pool:
        futures = [pool.submit(abs, -number) for number in range(4)]
        os.killpg(0, sent)  # as a terminal or a scheduler does, while they import
        print(sum(future.result() for future in futures))
    items = [GradeItem(completion="Answer: 4", answer="4", answer_type="math", choices=())] * 3
    with GradePool(GradeConfig()) as graders:
        os.killpg(0, sent)
        print([verdict.reward for verdict in graders.grade_batch(items)])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM])
def test_workers_survive_what_all_of_a_group_are_sent(
    tmp_path: Path, number: signal.Signals
) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run(
        [sys.executable, str(script), number.name],
        capture_output=True,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["6", "[1.0, 1.0, 1.0]"]
    assert "Traceback" not in done.stderr and "resource_tracker" not in done.stderr


SPAWNING = """
import multiprocessing, signal
from dfgen.interrupts import shield_children

def tell(end):
    end.send(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, set()))

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    end, other = context.Pipe()
    with shield_children():
        # The first of a program, as a model's engine may be.
        child = context.Process(target=tell, args=(other,))
        child.start()
    print(end.recv())
    child.join()
"""


def test_the_very_first_child_of_multiprocessing_is_shielded_too(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SPAWNING)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True", done.stderr
