"""Kills a side stage (score, value) at random moments, and says how much of its work is on disk."""

from __future__ import annotations

import os
import random
import signal
import time
from functools import partial
from pathlib import Path

from dfgen.store.layout import OUTPUTS
from tests.support.forking import Forked, start_module
from tests.support.waiting import wait_until


def start_stage(root: Path, stage: str, *options: str) -> Forked:
    """Start `dfgen STAGE RUN`, on one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return start_module("dfgen", stage, root, *options, env=environment)


def measure_progress(root: Path, stage: str) -> tuple[int, int]:
    """Finished shards, and whole lines that were journalled for the others: a kill may tear one.

    The journal of a finished shard is left out: a kill between the two leaves it for the next start
    to remove. Shards are listed after the journals, so that one finished in between is in no way
    less than before.
    """
    files = list((root / "journal").glob(f"{stage}-*.jsonl"))
    lines = {path.stem.removeprefix(f"{stage}-"): count_lines(path) for path in files}
    done = {
        path.stem.removeprefix("part-") for path in (root / OUTPUTS[stage]).glob("part-*.parquet")
    }
    return len(done), sum(count for shard, count in lines.items() if shard not in done)


def count_lines(path: Path) -> int:
    """Count the whole lines of a journal."""
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:  # its shard has been finished in between
        return 0


def has_got_on(root: Path, stage: str, before: tuple[int, int], process: Forked) -> bool:
    """Whether there is more on disk than before, or the process has ended."""
    return measure_progress(root, stage) != before or process.poll() is not None


def kill_at_random(root: Path, stage: str, *options: str, times: int = 3) -> None:
    """Kill a stage as often, each time after it has got on; assert that nothing done is lost."""
    moments, killed = random.Random(0), 0
    for _ in range(times):
        before = measure_progress(root, stage)
        process = start_stage(root, stage, *options)
        wait_until(partial(has_got_on, root, stage, before, process))
        time.sleep(moments.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=300)
        killed += process.returncode == -signal.SIGKILL
        if process.returncode == 0:
            break
        assert measure_progress(root, stage) >= before, "what was done stays"
    assert killed, "it was never killed in the middle"


def interrupt(root: Path, stage: str, *options: str) -> None:
    """Press Ctrl-C once there is something on disk; assert that it says how to go on."""
    process = start_stage(root, stage, *options)
    wait_until(lambda: any(measure_progress(root, stage)), lambda: process.poll() is None)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode in (0, 130), err
    if process.returncode == 130:
        assert "the same command goes on" in err
