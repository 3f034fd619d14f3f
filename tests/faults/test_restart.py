"""A server that is killed and is back some seconds later, while `dfgen repair` runs."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.openai.engine import OpenAIEngine
from dfgen.store.counts import count_reject_reasons
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.faults.command import start_dfgen, write_pipeline
from tests.faults.lasting_server import read_paid
from tests.faults.server import Sampled
from tests.support.loopback import find_closed_port
from tests.support.paid_attempts import iter_attempts
from tests.support.waiting import wait_until

IN_FLIGHT = 4
BEFORE = 6
ROOT = Path(__file__).parents[2]


def test_the_default_retries_span_more_than_20_seconds() -> None:
    backoff = OpenAIEngine(OpenAIConfig(model="m", base_url="http://127.0.0.1:1/v1"))._backoff
    shortest = [
        min(backoff.compute_wait(done, None) for _ in range(1000))
        for done in range(backoff.max_retries)
    ]
    assert sum(shortest) > 20


@pytest.mark.parametrize("outage_s", [2.0, pytest.param(20.0, marks=pytest.mark.slow)])
def test_a_server_that_is_gone_for_a_while(
    outage_s: float, copied: Sampled, tmp_path: Path
) -> None:
    """All is repaired, and nothing finished is paid for again."""
    port = find_closed_port()
    (tmp_path / "ideal.json").write_text(json.dumps(copied.ideal), "utf-8")
    command = [sys.executable, "-m", "tests.faults.lasting_server", str(port), str(tmp_path)]
    pipeline = write_pipeline(
        # More than the default: on a busy machine the server itself takes long to start.
        tmp_path / "p.yaml",
        f"http://127.0.0.1:{port}/v1",
        engine={"max_retries": 8},
    )
    server = subprocess.Popen([*command, str(BEFORE)], cwd=ROOT)
    repair = None
    try:
        wait_until(lambda: is_open(port), lambda: server.poll() is None)
        repair = start_dfgen("repair", pipeline, "--out", copied.root)
        wait_until(lambda: len(read_paid(tmp_path)) == BEFORE, lambda: repair.poll() is None)
        server.kill()
        server.wait()
        time.sleep(outage_s)
        assert repair.poll() is None, "it did not wait for the server"
        server = subprocess.Popen(command, cwd=ROOT)
        wait_until(lambda: is_open(port), lambda: server.poll() is None)
        said, _ = repair.communicate(timeout=300)
    finally:
        for process in (server, repair):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
    assert repair.returncode == 0, said[-3000:]
    run = Run.open_or_create(copied.root, None)
    assert audit(run) == []
    assert set(count_reject_reasons(run)["repair"]) <= {"truncated"}
    paid, recorded = Counter(read_paid(tmp_path)), list(iter_attempts(run))
    assert len(paid) > BEFORE, "it died in the middle"
    assert all(attempt["accepted"] for attempt in recorded)
    # Only what was leaving the server as it was killed is paid for again.
    assert 0 <= paid.total() - len(recorded) <= IN_FLIGHT
    assert max(paid.values()) <= 2


def is_open(port: int) -> bool:
    """Tell whether something listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
