"""kill -9 at random moments against a paying server: nothing lost, nothing paid for twice.

The server counts complete answers. A killed client may lose those that were in flight at that
moment: sent, and not yet on disk. `IN_FLIGHT` places and the one answer that is being written.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
import yaml

from dfgen.stages.repair.spending import iter_attempts
from dfgen.stages.session import Session
from dfgen.store.counts import count_rows
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.faults.server import Script, list_reversals, make_pipeline, sample_run
from tests.support.forking import start_module
from tests.support.loopback import LoopbackServer, Received, Reply

#: 20 for the claim in the README; every start costs seconds, so by default fewer.
KILLS = int(os.environ.get("DFGEN_KILLS", "5"))
IN_FLIGHT = 4
PROMPTS = 60


def slow_down(received: Received, before: int) -> Reply | None:
    # Long enough for a process to be killed in the middle of its work many times.
    time.sleep(0.12)
    return None


@pytest.mark.parametrize("necessity", ["off", "model"])
def test_kills_cost_at_most_what_was_in_flight(
    necessity: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    root = tmp_path / "run"
    moments = random.Random(1)
    killed = 0
    script = Script({}, slow_down)
    with LoopbackServer(script) as server:
        # So few that some kills come after the last attempt, in the middle of the tests.
        prompts = PROMPTS if necessity == "off" else KILLS * 3 // 2
        pipeline = make_pipeline(server.url, prompts=prompts, necessity=necessity)
        ideal = sample_run(root, pipeline).ideal
        session = Session(Run.open_or_create(root, None), pipeline)
        script.ideal = list_reversals(ideal, session) | ideal
        file = tmp_path / "pipeline.yaml"
        file.write_text(yaml.safe_dump(pipeline.model_dump(mode="json")))
        command = ("dfgen", "repair", file, "--out", root, "-q")
        for _ in range(KILLS):
            before = server.count
            process = start_module(*command)
            deadline = time.monotonic() + 60
            while server.count == before and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.005)
            time.sleep(moments.random() * 0.25)
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=30)
            killed += process.returncode == -signal.SIGKILL
        paid_before_the_end = sum(script.paid.values())
        tests_before_the_end = sum(n for text, n in script.paid.items() if text not in ideal)
        last = start_module(*command)
        _, err = last.communicate(timeout=300)
        assert last.returncode == 0, err
    assert killed >= KILLS * 3 // 4, "the runs ended before they could be killed: make them longer"
    run = Run.open_or_create(root, None)
    assert audit(run) == []
    assert count_rows(run)["repair"]["pending"] == 0
    if necessity == "model":
        assert tests_before_the_end > 0, "no test was killed: make the run shorter"
        check_tests(run)
    recorded = sum(1 for _ in iter_attempts(run))
    paid = sum(script.paid.values())
    print(
        f"killed {killed} times, {recorded} attempts on record, {paid} answers paid, "
        f"{paid_before_the_end} of them before the last start"
    )
    assert 0 <= paid - recorded <= killed * (IN_FLIGHT + 1)


def check_tests(run: Run) -> None:
    """Every hunk that a grader lets pass was put to the repairer, which put it right again."""
    reasons = {
        entry["attempt"] and entry["attempt"]["reason"]
        for row in run.table("repairs").iter_rows()
        for entry in row["necessity"]
        if row["copy_of"] is None and not (entry["needed"] and entry["decided_by"] == "grader")
    }
    assert reasons == {"needed"}
