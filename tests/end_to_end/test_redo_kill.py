"""kill -9 at any moment while something is made anew: the same files as if nobody had disturbed it.

What is made anew by the settings that it was made with comes out as it was, so a run from which
`--redo` took something, killed as often as one likes, ends with the bytes that it had before.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from dfgen.store.layout import Stage
from tests.end_to_end.test_growth_kill import STEPS, DataSet, call, start, wait_for_work

pytestmark = pytest.mark.slow

WISHES: dict[str, tuple[Stage, ...]] = {
    "repair": ("repair", "mask"),
    "mask": ("mask",),
    "prompts:1": ("prompts", "sample", "repair", "score", "value", "mask"),
    "sample:2": ("sample", "repair", "score", "value", "mask"),
    "value": ("value",),
}
"""What is made anew, and the stages that then have work to do."""

KILLS = int(os.environ.get("DFGEN_KILLS", "4"))
"""For each of them, at least."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    data = DataSet(tmp_path_factory.mktemp("made"))
    call(*data.grow(STEPS[-2]))
    return data


def kill_while_it_redoes(data: DataSet, wish: str, moments: random.Random) -> Counter[str]:
    """Give an order, kill it in each of its stages, and give it again until it is carried out."""
    command = (*data.grow(STEPS[-2]), "--redo", wish, "--yes")
    killed: Counter[str] = Counter()
    stages = WISHES[wish]
    for stage in sorted(moments.choices(stages, k=2), key=stages.index):
        process = start(*command)
        if wait_for_work(data, process, stage):
            time.sleep(moments.random() * moments.choice((0.002, 0.05)))
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate(timeout=300)
        killed[stage] += process.returncode == -signal.SIGKILL
        assert process.returncode in (0, -signal.SIGKILL), errors
    call(*command)
    return killed


@pytest.mark.parametrize("wish", WISHES)
def test_killed_redoing_ends_with_the_same_bytes(wish: str, made: DataSet, tmp_path: Path) -> None:
    before, killed, number = made.read_files(), Counter[str](), 0
    while killed.total() < KILLS:
        data = DataSet(tmp_path / str(number))
        # The same source, whose name is among what a run was made of.
        data._folder = made._folder
        shutil.copytree(made.root, data.root)
        killed += kill_while_it_redoes(data, wish, random.Random(number))
        assert data.read_files() == before
        call("validate", data.root)
        number += 1
    print(f"{wish}: killed {dict(killed)}")
