"""The rates of an account are the run's: three workers ask one server, and one is killed."""

from __future__ import annotations

import json
import os
from pathlib import Path

from dfgen.store.layout import SHARED
from dfgen.store.run import Run
from dfgen.store.shared.files import PosixFiles
from tests.support.forking import Forked, start_module
from tests.support.loopback import Arrivals, LoopbackServer, Received, Reply, write_completion
from tests.support.shared_runs import finish, kill
from tests.support.stub_engine import make_pipeline
from tests.support.waiting import wait_until

PER_MINUTE = 300
WORKERS = 3
IN_FLIGHT = 1
"""Of one worker: what has its turn and was not answered; the others wait for theirs."""


def read_parts(root: Path) -> list[float]:
    folder = root / SHARED / "rates"
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    found = [PosixFiles(root / SHARED).read(f"rates/{name}") for name in names]
    return [part for each in found if each is not None for part in json.loads(each[0]).values()]


def test_three_workers_ask_no_faster_than_one_may(tmp_path: Path) -> None:
    root = tmp_path / "run"
    Run.open_or_create(root, make_pipeline())
    arrivals = Arrivals()

    def answer(_: Received) -> Reply:
        arrivals.note()
        return Reply(write_completion("x"))

    with LoopbackServer(answer) as server:

        def start(count: int) -> Forked:
            words = [str(root), server.url, str(count), str(PER_MINUTE), "2"]
            environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
            return start_module("tests.support.paced_worker", *words, env=environment, merge=True)

        victim = start(1000)
        wait_until(lambda: bool(arrivals.times), lambda: victim.poll() is None)
        others = [start(30), start(30)]
        wait_until(
            lambda: (
                all(abs(part - 1 / WORKERS) < 1e-6 for part in read_parts(root))
                and len(read_parts(root)) == WORKERS
            ),
            lambda: victim.poll() is None,
        )
        kill(victim)
        for worker in others:
            finish(worker)
    allowed = arrivals.measure_seconds() * PER_MINUTE / 60 + WORKERS * IN_FLIGHT + 1
    assert 60 < len(arrivals.times) <= allowed, "more than the account's rate"
    assert read_parts(root) == [], "what a worker had is free when it has left or died"
