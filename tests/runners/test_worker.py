"""What a launched worker does before its stage, and when whoever started it is gone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dfgen.errors import LaunchError
from dfgen.runners.worker import check_upstream
from dfgen.store.run import Run
from dfgen.store.shared.failures import read_failures
from tests.support.scripted_models import Models, answer_by_index, make_pipeline
from tests.support.scripted_runs import invoke


@pytest.fixture
def half(tmp_path: Path) -> Run:
    """A run that was sampled and not repaired."""
    with pytest.MonkeyPatch.context() as patch:
        models = Models(answer_by_index(["fine", "poor", "bad", "fine"]), {})
        return models.run(tmp_path / "half", make_pipeline(tmp_path), patch, ("prompts", "sample"))


def test_a_stage_begins_when_those_before_it_are_done(half: Run) -> None:
    pipeline = half.read_pipeline()
    check_upstream(half, pipeline, "repair")
    with pytest.raises(LaunchError, match=r"repair is not done \(open shards: 0, 1, 2\), so mask"):
        check_upstream(half, pipeline, "mask")


def test_shards_that_are_open_again_are_not_passed_over(half: Run) -> None:
    """The manifest says that sampling is done, and a file of it is gone."""
    half.output("sample").path(1).unlink()
    with pytest.raises(LaunchError, match=r"sample is not done \(open shards: 1\)"):
        check_upstream(half, half.read_pipeline(), "repair")


def test_why_a_worker_ends_is_on_record(half: Run) -> None:
    said = invoke("launch", "worker", "mask", half.root, "--shared", "--no-check", code=1).output
    assert "the stage repair is not done" in said
    [failure] = read_failures(half.root, {"mask"})
    assert failure.what in said
    assert json.loads(invoke("status", half.root, "--json").stdout)["failures"]


def test_a_worker_stops_when_its_standard_input_ends() -> None:
    code = (
        "import threading, time\n"
        "from dfgen.runners.worker import stop_at_end_of_input\n"
        "from dfgen.stages.stopping import StopSignal\n"
        "with StopSignal() as stop:\n"
        "    stop_at_end_of_input()\n"
        "    print('up', flush=True)\n"
        "    while not stop.requested: time.sleep(0.01)\n"
    )
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.stdin.write(b"what is written there means nothing\n")
        process.stdin.flush()
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(300) == 0
