"""A forked command is what `python -m` would be: code, output, environment, folder, signals."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.forking import start_module

# A module of the tests that does what its arguments say.
PROBE = "tests.support.probe"


def probe(*arguments: str, **options: object) -> tuple[int, str, str]:
    process = start_module(PROBE, *arguments, libraries="hub", **options)  # type: ignore[arg-type]
    out, err = process.communicate(timeout=300)
    return process.wait(), out, err


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("pass", 0),
        ("raise SystemExit(3)", 3),
        ("raise SystemExit('no')", 1),
        ("raise ValueError", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    ],
)
def test_exit_codes(script: str, code: int) -> None:
    assert probe(script)[0] == code


def test_output_arguments_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script = "import sys, os; print(sys.argv[1:], os.getcwd()); print('no', file=sys.stderr)"
    code, out, err = probe(script, "two")
    assert (code, err) == (0, "no\n")
    assert out == f"{[script, 'two']} {tmp_path}\n"
    assert sorted(probe(script, "two", merge=True)[1].splitlines()) == sorted([out.strip(), "no"])


def test_environment_is_all_that_is_given() -> None:
    environment = {"PATH": os.environ["PATH"], "MINE": "1"}
    script = "import os; print(sorted(set(os.environ) - {'DFGEN_TEST_PYTHON', 'LC_CTYPE'}))"
    assert probe(script, env=environment)[1] == "['MINE', 'PATH']\n"


def test_nothing_of_hugging_face_is_imported_for_the_hub() -> None:
    script = "import sys; print({'huggingface_hub', 'datasets', 'transformers'} & set(sys.modules))"
    assert probe(script)[1] == "set()\n"


def test_what_it_starts_is_forked_too_and_keeps_exit_codes() -> None:
    script = (
        "import subprocess, sys;"
        f"command = [sys.executable, '-m', '{PROBE}', 'print(1, flush=True); raise SystemExit(7)'];"
        "print(subprocess.run(command).returncode);"
        "print(subprocess.run([sys.executable, '-c', 'raise SystemExit(5)']).returncode)"
    )
    assert probe(script)[1] == "1\n7\n5\n"


def test_a_kill_meets_the_command_itself() -> None:
    process = start_module(PROBE, "import time; time.sleep(600)", libraries="hub")
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.kill()
    assert process.communicate(timeout=300) == ("", "")
    assert process.returncode == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_ctrl_c_ends_it_as_python_ends() -> None:
    script = "import sys, time; print('up', file=sys.stderr, flush=True); time.sleep(600)"
    process = start_module(PROBE, script, libraries="hub")
    while not Path(f"/proc/{process.pid}/fd/2").stat().st_size:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in err
