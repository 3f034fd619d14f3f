"""kill -9 in the middle of scoring, type the same command again: nothing read twice, all there."""

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


def start(root: Path) -> Forked:
    # Small batches: many moments to be killed at.
    return start_module("dfgen", "score", root, "-q", env={**os.environ, "OMP_NUM_THREADS": "1"})


def measure(root: Path) -> tuple[int, int]:
    """Finished shards, and whole lines that were journalled for the next: a kill may tear one.

    The journal of a finished shard is left out: a kill between the two leaves it for the next start
    to remove. Shards are counted after the journals, so that one finished in between counts twice
    rather than not at all.
    """
    files = list((root / "journal").glob("score-*.jsonl"))
    lines = {path.stem.removeprefix("score-"): count_lines(path) for path in files}
    done = {path.stem for path in (root / "scores").glob("*.parquet")}
    return len(done), sum(count for number, count in lines.items() if number not in done)


def count_lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:  # its shard has been finished in between
        return 0


def test_killed_scoring_goes_on(root: Path) -> None:
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
        assert measure(root) >= before, "what was read stays"
    assert killed, "it was never killed in the middle"
    call("score", root, "-q")
    scores, rows = read(root, "scores"), read(root, "trajectories")
    assert scores.keys() == rows.keys()
    assert max(score["logprob_gap"] for score in scores.values()) < 1e-4
    assert all(row["scored_logprobs"] for row in read(root, "masks").values())
    run = Run.open_or_create(root, None)
    assert audit(run) == []
    assert not list((root / "journal").glob("score-*.jsonl"))


def test_an_interrupt_finishes_what_is_in_flight_and_says_how_to_go_on(root: Path) -> None:
    process = start(root)
    wait_until(lambda: any(measure(root)), lambda: process.poll() is None)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode in (0, 130), err
    if process.returncode == 130:
        assert "the same command goes on" in err
    call("score", root, "-q")
    assert read(root, "scores").keys() == read(root, "trajectories").keys()
