"""kill -9 in the middle of drawing on, type the same command again: nothing is lost, all there."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.stages.score.running import call, read
from tests.support.forking import Forked, start_module
from tests.support.waiting import wait_until

OPTIONS = ("--set", "value.draws=2", "--limit", "6", "-q")


def start(root: Path) -> Forked:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return start_module("dfgen", "value", root, *OPTIONS, env=environment)


def measure(root: Path) -> tuple[int, int]:
    """Finished shards, and whole lines that were journalled for the next: a kill may tear one.

    The journal of a finished shard is left out: a kill between the two leaves it for the next start
    to remove. Shards are counted after the journals, so that one finished in between counts twice
    rather than not at all.
    """
    files = list((root / "journal").glob("value-*.jsonl"))
    lines = {path.stem.removeprefix("value-"): count_lines(path) for path in files}
    done = {path.stem for path in (root / "values").glob("*.parquet")}
    return len(done), sum(count for number, count in lines.items() if number not in done)


def count_lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:  # its shard has been finished in between
        return 0


def test_killed_drawing_goes_on(root: Path, tmp_path: Path) -> None:
    import shutil

    whole = Path(shutil.copytree(root, tmp_path / "whole"))
    moments = random.Random(0)
    killed = 0
    for _ in range(3):
        before = measure(root)
        process = start(root)
        wait_until(lambda: measure(root) != before or process.poll() is not None)  # noqa: B023
        time.sleep(moments.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        killed += process.returncode == -signal.SIGKILL
        if process.returncode == 0:
            break
        assert measure(root) >= before, "what was drawn stays"
    assert killed, "it was never killed in the middle"
    call("value", root, *OPTIONS)
    call("value", whole, *OPTIONS)
    assert read(root, "values") == read(whole, "values")
    run = Run.open_or_create(root, None)
    assert audit(run) == []
    assert not list((root / "journal").glob("value-*.jsonl"))


def test_an_interrupt_finishes_what_is_in_flight_and_says_how_to_go_on(root: Path) -> None:
    process = start(root)
    wait_until(lambda: any(measure(root)), lambda: process.poll() is None)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode in (0, 130), err
    if process.returncode == 130:
        assert "the same command goes on" in err
    call("value", root, *OPTIONS)
    assert all(row["value_points"] for row in read(root, "values").values())
