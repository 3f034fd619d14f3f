"""Ctrl-C while a model is being loaded: nothing is in flight, so it ends at once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.end_to_end.test_growth_kill import STEPS, DataSet
from tests.support.forking import start_module
from tests.support.waiting import wait_until


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("shared", [False, True])
def test_loading_is_given_up(number: signal.Signals, shared: bool, tmp_path: Path) -> None:
    data = DataSet(tmp_path)
    command = [each for each in data.grow(STEPS[0]) if each != "-q"]
    command += ["--shared"] * shared
    (tmp_path / "load").touch()
    env = {**os.environ, "OMP_NUM_THREADS": "1", "QUICK_HOLD": str(tmp_path)}
    process = start_module("tests.support.quick_models", *command, env=env, libraries="hub")
    wait_until((tmp_path / "loading").exists, lambda: process.poll() is None)
    process.send_signal(number)
    try:
        _, said = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert said.count("Stopping: loading the model is given up.") == 1
    assert said.count("Stopped. ") == 1 and "the same command goes on from there" in said
    assert "Traceback" not in said
    assert not (data.root / "run.lock").exists()
    (tmp_path / "load").unlink()
    process = start_module("tests.support.quick_models", *command, env=env, libraries="hub")
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
