"""Rows that a well server cannot take, many of them and side by side; and a server that is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.store.counts import count_reject_reasons, count_rows
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.faults.command import repair, write_pipeline
from tests.faults.framing import read_student
from tests.faults.server import Sampled, Script
from tests.support.loopback import LoopbackServer, Received, Reply, write_error
from tests.support.paid_attempts import iter_attempts

FAST = {"max_retries": 1}
BROKEN = Reply(write_error("CUDA error: device-side assert"), 500)


def list_texts(sampled: Sampled) -> list[str]:
    """The different wrong answers, in the order in which they are sent."""
    rows = Run.open_or_create(sampled.root, None).table("trajectories").iter_rows()
    wrong = (r for r in rows if r["reward"] < 1 and r["finish_reason"] != "length")
    return list(dict.fromkeys(row["completion"] for row in wrong))


@pytest.mark.parametrize("share", ["six side by side", "all but two"])
def test_bad_rows_are_rejects_and_the_run_ends_well(
    share: str, copied: Sampled, tmp_path: Path
) -> None:
    """The second attempt asks about the bad rows alone: nothing else vouches for the server."""
    texts = list_texts(copied)
    bad = set(texts[3:9] if share == "six side by side" else texts[2:])

    def fault(received: Received, before: int) -> Reply | None:
        return BROKEN if read_student(received) in bad else None

    script = Script(copied.ideal, fault)
    with LoopbackServer(script) as server:
        repair(write_pipeline(tmp_path / "p.yaml", server.url, engine=FAST), copied.root)
    run = Run.open_or_create(copied.root, None)
    assert audit(run) == []
    reasons = count_reject_reasons(run)["repair"]
    reasons.pop("truncated", None)
    assert set(reasons) == {"server_error"}
    assert reasons["server_error"] >= len(bad)
    assert script.paid.keys() == set(texts) - bad
    assert set(script.paid.values()) == {1}
    # Two attempts of two tries each.
    assert {script.asked[text] for text in bad} == {4}


@pytest.mark.parametrize("after", [0, 5])
def test_a_server_that_fails_everything_loses_no_row(
    after: int, copied: Sampled, tmp_path: Path
) -> None:
    script = Script(copied.ideal)
    pipeline = tmp_path / "p.yaml"

    def answer(received: Received) -> Reply:
        return script(received) if received.number < after else BROKEN

    with LoopbackServer(answer) as server:
        said = repair(write_pipeline(pipeline, server.url, engine=FAST), copied.root, code=1)
        assert "in a row" in said and "same command" in said
        assert server.count < 60
    run = Run.open_or_create(copied.root, None)
    assert count_reject_reasons(run).get("repair", {}).get("server_error", 0) == 0
    assert count_rows(run)["repair"]["pending"] > 0
    with LoopbackServer(script) as server:
        repair(write_pipeline(pipeline, server.url, engine=FAST), copied.root)
    run = Run.open_or_create(copied.root, None)
    assert set(count_reject_reasons(run)["repair"]) <= {"truncated"}
    assert sum(script.paid.values()) == sum(a["accepted"] for a in iter_attempts(run))
    assert set(script.paid.values()) == {1}
