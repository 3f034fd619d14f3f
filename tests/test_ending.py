"""A signal ends a command in order: what is open is closed, and it is said how to go on."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import wait_until

COMMAND = """
import signal, sys, time, types
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
import click
from dfgen.cli import main as room

@click.command()
def command():
    try:
        print("up", flush=True)
        time.sleep(3600)
    finally:
        print("closed", flush=True)

room.COMMANDS["hang"] = ("hang", "")
sys.modules["dfgen.cli.commands.hang"] = types.SimpleNamespace(command=command)
sys.argv[1:] = ["hang"]
from dfgen.__main__ import main
main()
"""


def start(script: str, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *words]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert started.stdout.readline() == "up\n"
    return started


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_command_that_holds_no_run_closes_what_is_open(number: signal.Signals, code: int) -> None:
    with start(COMMAND) as command:
        command.send_signal(number)
        out, said = command.communicate(timeout=120)
    assert (command.returncode, out) == (code, "closed\n")
    assert said.count("Stopped.") == 1 and "the same command goes on" in said
    assert "Traceback" not in said and "Aborted" not in said


WORKING = """
import signal, sys, time, fcntl, termios
from pathlib import Path
if len(sys.argv) > 2:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as above
from dfgen.stages.stopping import StopSignal

folder = Path(sys.argv[1])
if len(sys.argv) > 2:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
with StopSignal(lambda _: print("Stopping", flush=True)) as stop:
    print("up", flush=True)
    (folder / "up").touch()
    while not (stop.requested or (folder / "enough").exists()):
        time.sleep(0.01)
    print("what was in flight is finished", flush=True)
    (folder / "finished").write_text("after a stop" if stop.requested else "undisturbed")
"""


def test_what_is_in_flight_is_finished_when_the_terminal_is_gone(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    working = subprocess.Popen(
        [sys.executable, "-c", WORKING, tmp_path, "terminal"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        wait_until((tmp_path / "up").exists, lambda: working.poll() is None)
        os.close(ours)
        assert working.wait(120) == 0
    finally:
        working.kill()
        working.wait()
    assert (tmp_path / "finished").read_text() == "after a stop"


def test_nohup_keeps_a_run_at_work(tmp_path: Path) -> None:
    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    with start(ignoring + WORKING, str(tmp_path)) as working:
        working.send_signal(signal.SIGHUP)
        (tmp_path / "enough").touch()
        working.communicate(timeout=120)
    assert working.returncode == 0
    assert (tmp_path / "finished").read_text() == "undisturbed"
