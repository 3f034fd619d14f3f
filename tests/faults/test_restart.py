"""A server that is killed and is back 20 seconds later, while `dfgen repair` runs."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from dfgen.stages.repair.spending import iter_attempts
from dfgen.store.counts import count_reject_reasons
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.faults.command import start_dfgen, write_pipeline
from tests.faults.lasting_server import read_paid
from tests.faults.server import Sampled
from tests.support.loopback import find_closed_port

OUTAGE_S = 20.0
IN_FLIGHT = 4
ROOT = Path(__file__).parents[2]


def test_a_server_that_is_gone_for_20_seconds(copied: Sampled, tmp_path: Path) -> None:
    """With the default number of retries: all is repaired, and nothing finished is paid again."""
    port = find_closed_port()
    (tmp_path / "ideal.json").write_text(json.dumps(copied.ideal), "utf-8")
    command = [sys.executable, "-m", "tests.faults.lasting_server", str(port), str(tmp_path)]
    pipeline = write_pipeline(
        tmp_path / "p.yaml", f"http://127.0.0.1:{port}/v1", engine={"max_retries": 5}
    )
    server = subprocess.Popen(command, cwd=ROOT)
    repair = None
    try:
        wait_until(lambda: is_open(port), server)
        repair = start_dfgen("repair", pipeline, "--out", copied.root)
        wait_until(lambda: len(read_paid(tmp_path)) >= 5, repair)
        server.kill()
        server.wait()
        gone_at, before = time.monotonic(), len(read_paid(tmp_path))
        time.sleep(OUTAGE_S)
        assert repair.poll() is None, "it did not wait for the server"
        server = subprocess.Popen(command, cwd=ROOT)
        wait_until(lambda: is_open(port), server)
        outage = time.monotonic() - gone_at
        said, _ = repair.communicate(timeout=120)
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
    assert outage > OUTAGE_S and before < len(paid), "it died in the middle"
    assert all(attempt["accepted"] for attempt in recorded)
    # Only what was leaving the server as it was killed is paid for again.
    assert 0 <= paid.total() - len(recorded) <= IN_FLIGHT
    assert max(paid.values()) <= 2


def is_open(port: int) -> bool:
    """Tell whether something listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something that a process does."""
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
