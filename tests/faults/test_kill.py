"""kill -9 at random moments against a paying server: nothing lost, nothing paid for twice.

The server counts complete answers. A killed client may lose those that were in flight at that
moment: sent, and not yet on disk. `IN_FLIGHT` places and the one answer that is being written.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from functools import partial
from pathlib import Path

import pytest
import yaml

from dfgen.stages.session import Session
from dfgen.store.counts import count_rows
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.faults.server import Script, list_reversals, make_pipeline, sample_run
from tests.support.forking import Forked, start_module
from tests.support.loopback import LoopbackServer, Received, Reply
from tests.support.paid_attempts import iter_attempts
from tests.support.waiting import wait_until

IN_FLIGHT = 4
MOST_ANSWERS = 12
LATEST_S = 0.25


class Gate:
    """Lets some answers leave, slowly, and holds all others until their client is dead.

    So every client can be killed in the middle of its work, however slow or fast the machine is.
    """

    def __init__(self) -> None:
        self.left = 0
        self._lock = threading.Lock()
        self._killed = threading.Event()

    def start_life(self, answers: int | None) -> None:
        """Hold nothing back but what comes after so many answers; None: nothing at all."""
        self._killed = threading.Event()
        self.left = 10**9 if answers is None else answers

    def end_life(self) -> None:
        """Let go of the requests of a client that is dead."""
        self._killed.set()

    def pass_through(self, received: Received, before: int) -> Reply | None:
        """Be the fault of a `Script`: None for an answer that leaves."""
        killed = self._killed
        with self._lock:
            self.left -= 1
            leaves = self.left >= 0
        if leaves:
            # Long enough for others to be in flight.
            time.sleep(0.03)
            return None
        killed.wait()
        return Reply(drop="before")


@pytest.mark.parametrize("kills", [6, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("necessity", ["off", "model"])
def test_kills_cost_at_most_what_was_in_flight(
    necessity: str, kills: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    root = tmp_path / "run"
    moments = random.Random(1)
    gate = Gate()
    script = Script({}, gate.pass_through)
    with LoopbackServer(script) as server:
        # Enough for all kills; with tests few, so that some come in the middle of the tests.
        prompts = kills * (8 if necessity == "off" else 3)
        pipeline = make_pipeline(server.url, prompts=prompts, necessity=necessity)
        ideal = sample_run(root, pipeline).ideal
        session = Session(Run.open_or_create(root, None), pipeline)
        script.ideal = list_reversals(ideal, session) | ideal
        file = tmp_path / "pipeline.yaml"
        file.write_text(yaml.safe_dump(pipeline.model_dump(mode="json")))
        command = ("dfgen", "repair", file, "--out", root, "-q")
        for _ in range(kills):
            before, answers = server.count, moments.randint(0, MOST_ANSWERS)
            gate.start_life(answers)
            process = start_module(*command)
            # The one after the last that leaves is in flight.
            wait_until(partial(has_more, server, before + answers), partial(is_running, process))
            time.sleep(moments.random() * LATEST_S)
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=300)
            gate.end_life()
            assert process.returncode == -signal.SIGKILL
        wait_until(lambda: server.in_flight == 0)
        paid_before_the_end = sum(script.paid.values())
        tests_before_the_end = sum(n for text, n in script.paid.items() if text not in ideal)
        gate.start_life(None)
        last = start_module(*command)
        _, err = last.communicate(timeout=300)
        assert last.returncode == 0, err
    run = Run.open_or_create(root, None)
    assert audit(run) == []
    assert count_rows(run)["repair"]["pending"] == 0
    if necessity == "model":
        assert tests_before_the_end > 0, "no test was killed: make the run shorter"
        check_tests(run)
    recorded = sum(1 for _ in iter_attempts(run))
    paid = sum(script.paid.values())
    print(
        f"killed {kills} times, {recorded} attempts on record, {paid} answers paid, "
        f"{paid_before_the_end} of them before the last start"
    )
    assert 0 <= paid - recorded <= kills * (IN_FLIGHT + 1)


def has_more(server: LoopbackServer, requests: int) -> bool:
    return server.count > requests


def is_running(process: Forked) -> bool:
    return process.poll() is None


def check_tests(run: Run) -> None:
    """Every hunk that a grader lets pass was put to the repairer, which put it right again."""
    reasons = {
        entry["attempt"] and entry["attempt"]["reason"]
        for row in run.table("repairs").iter_rows()
        for entry in row["necessity"]
        if row["copy_of"] is None and not (entry["needed"] and entry["decided_by"] == "grader")
    }
    assert reasons == {"needed"}
