"""kill -9 in the batch lane, also between the provider's taking and dfgen's knowing.

Whatever the moment, each request is handed over once and each answer is used once.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
import yaml

from dfgen.store.counts import count_rows
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.faults.server import Script, make_pipeline, sample_run
from tests.support.batch_server import BatchServer, Fate
from tests.support.forking import Forked, start_module
from tests.support.paid_attempts import iter_attempts
from tests.support.waiting import wait_until

LATEST_S = 0.3
LONGEST_S = 1800.0


class Killer:
    """Kills the client when the server has taken something, and not answered yet."""

    def __init__(self) -> None:
        self.process: Forked | None = None
        self.on = ""

    def arm(self, process: Forked, on: str) -> None:
        """Wait for a `file` or a `batch`; anything else: not at all."""
        self.process, self.on = process, on

    def __call__(self, what: str) -> None:
        if self.process is not None and what == self.on:
            self.process.send_signal(signal.SIGKILL)
            self.process, self.on = None, ""


def has_looked(server: BatchServer, looks: int) -> bool:
    return server.asked["GET /batches/*"] > looks


def is_running(process: Forked) -> bool:
    return process.poll() is None


def has_ended(process: Forked) -> bool:
    return process.poll() is not None


@pytest.mark.parametrize("kills", [8, pytest.param(25, marks=pytest.mark.slow)])
def test_each_request_is_handed_over_once_and_each_answer_used_once(
    kills: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    root, moments, killer = tmp_path / "run", random.Random(2), Killer()
    ways = Counter[str]()

    def plan(number: int) -> Fate:
        # Some are cut with a part done: the rest goes out again, and only the rest.
        return Fate(polls=2, end="expired", done=2) if number % 5 == 2 else Fate(polls=2, twice=1)

    script = Script({})
    with BatchServer(script, plan, accepted=killer, unlisted_s=0.15) as server:
        batch = {"poll_s": 0.02, "settle_s": 1.0, "max_requests": 3, "in_flight": 2}
        engine = {"lane": "batch", "batch": batch}
        pipeline = make_pipeline(server.url, prompts=kills * 5, engine=engine)
        script.ideal = sample_run(root, pipeline).ideal
        file = tmp_path / "pipeline.yaml"
        file.write_text(yaml.safe_dump(pipeline.model_dump(mode="json")))
        command = ("dfgen", "repair", file, "--out", root, "-q", "--no-check")
        for _ in range(kills):
            process = start_module(*command)
            way = moments.choice(["file", "batch", "any"])
            if way == "any":
                looks = server.asked["GET /batches/*"]
                wait_until(partial(has_looked, server, looks), partial(is_running, process))
                time.sleep(moments.random() * LATEST_S)
                process.send_signal(signal.SIGKILL)
            else:
                killer.arm(process, way)
                wait_until(partial(has_ended, process))
            process.communicate(timeout=LONGEST_S)
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL
            ways[way] += 1
        killer.on = ""
        # Only one that hangs takes so long, however busy the machine.
        last = start_module(*command)
        said, err = last.communicate(timeout=LONGEST_S)
        assert last.returncode == 0, f"{said}{err}"
        expired = [each for each in server.batches.values() if each.status == "expired"]
        once = {row["custom_id"] for row in server.lines}
        again = sum(each.counts["failed"] for each in expired)
        print(f"killed {dict(ways)}, {len(server.batches)} batches, {len(once)} requests")
    assert min(ways["file"], ways["batch"]) > 0, "no kill fell between taking and knowing"
    run = Run.open_or_create(root, None)
    assert audit(run) == []
    assert count_rows(run)["repair"]["pending"] == 0
    # Only rows that a batch did not come to are handed over a second time.
    assert server.submitted.total() == len(once) + again
    assert set(server.answered.values()) == {1}
    recorded = list(iter_attempts(run))
    assert len(recorded) == server.answered.total() == len(once)
    assert {attempt["lane"] for attempt in recorded} == {"batch"}
