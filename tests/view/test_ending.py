"""How `dfgen view` ends: at once, whatever its threads are reading; and when it cannot begin."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from tests.view.serving import serve
from tests.view.test_server import ask, read_json

SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests themselves may run
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # in the background or under nohup
from dfgen.view import viewed_run

def work(*_):
    print("reading", file=sys.stderr, flush=True)
    time.sleep(3600)

if sys.argv[2] == "prepare":
    viewed_run.ViewedRun.prepare = work
else:
    viewed_run.ViewedRun.prepare = lambda _: None
    viewed_run.collect_numbers = work
sys.argv[1:] = ["view", sys.argv[1]]
from dfgen.__main__ import main
main()
"""


@pytest.mark.parametrize("reading", ["prepare", "numbers"])
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_it_while_a_thread_reads(
    viewed_root: Path, number: signal.Signals, code: int, reading: str
) -> None:
    command = [sys.executable, "-c", SLOW, str(viewed_root), reading]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as view:
        try:
            assert view.stdout is not None and view.stderr is not None
            address = f"{view.stdout.readline().strip()}0/"
            if reading == "numbers":
                asking = threading.Thread(target=ask_in_vain, args=(address,))
                asking.start()
            said = []
            while "reading\n" not in said:
                said.append(view.stderr.readline())
            view.send_signal(number)
            assert view.wait(300) == code, "the thread would take an hour"
            assert view.stderr.read() == "ended\n"
            if reading == "numbers":
                asking.join()
        finally:
            view.kill()


def ask_in_vain(address: str) -> None:
    with pytest.raises(OSError, match="closed connection"):
        ask(address, "numbers")


def test_a_port_that_is_taken_is_named(viewed_root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(cli, ["view", str(viewed_root), "--port", str(port)])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    assert f"port {port}: Address already in use" in result.output and "--port" in result.output


def test_a_run_that_is_taken_away_is_no_empty_run(viewed_root: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(viewed_root, tmp_path / "run"))
    with serve(tmp_path / "marks.jsonl", root) as address:
        assert read_json(address, "state")["total"] == 480
        for take_away in (lambda: root.rename(tmp_path / "moved"), root.mkdir):
            take_away()
            status, _, said = ask(address, "state")
            assert (status, b"there is no run here" in said) == (500, True)
        root.rmdir()
        (tmp_path / "moved").rename(root)
        assert read_json(address, "state")["total"] == 480
