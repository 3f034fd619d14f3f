"""The repair stage over a run: copies, growth, resume in the middle of a round."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dfgen.errors import EngineError
from dfgen.records import Repair
from dfgen.runners.repairing import iter_undecided
from dfgen.runners.session import Session
from dfgen.runners.spending import count_spent
from dfgen.store.counts import audit
from dfgen.store.run import Run
from tests.faults.server import Script, make_pipeline, repair_run, sample_run
from tests.support.loopback import LoopbackServer, Received, Reply, write_error


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def make_copies(root: Path) -> dict[str, list[str]]:
    """Give every wrong trajectory of a prompt the text and ids of the first; return the groups."""
    groups: dict[str, list[str]] = {}
    for path in sorted((root / "trajectories").glob("*.parquet")):
        table = pq.read_table(path)
        rows = table.to_pylist()
        first: dict[str, dict] = {}
        for row in rows:
            if row["reward"] < 1 and row["finish_reason"] == "stop":
                like = first.setdefault(row["prompt_id"], row)
                for name in ("completion", "completion_ids", "logprobs", "verdict"):
                    row[name] = like[name]
                groups.setdefault(row["prompt_id"], []).append(row["trajectory_id"])
        pq.write_table(table.from_pylist(rows, schema=table.schema), path)
    return groups


def test_one_repair_serves_identical_answers(tmp_path: Path) -> None:
    root = tmp_path / "run"
    sampled = sample_run(root, make_pipeline("http://127.0.0.1:1/v1"))
    groups = make_copies(root)
    assert any(len(group) > 1 for group in groups.values())
    script = Script(sampled.ideal)
    with LoopbackServer(script) as server:
        run = repair_run(root, make_pipeline(server.url))
    assert audit(run) == []
    assert sum(script.asked.values()) == len(groups)
    rows = {row["trajectory_id"]: row for row in run.table("repairs").iter_rows()}
    for leader, *copies in groups.values():
        assert rows[leader]["copy_of"] is None
        for copy in copies:
            assert rows[copy]["copy_of"] == leader
            assert rows[copy]["repair"] == rows[leader]["repair"]
            assert rows[copy]["attempts"] == []
    assert count_spent(run)[0] == len(groups)


def test_a_round_that_broke_off_goes_on_where_it_was(tmp_path: Path) -> None:
    root = tmp_path / "run"
    sampled = sample_run(root, make_pipeline("http://127.0.0.1:1/v1"))
    undisturbed = tmp_path / "undisturbed"
    sample_run(undisturbed, make_pipeline("http://127.0.0.1:1/v1"))
    broken = Counter({"at": 0})

    def fault(received: Received, before: int) -> Reply | None:
        # One in flight, so that what is asked for twice is only the request that broke the run.
        broken["at"] += 1
        return Reply(write_error("expired"), 401) if broken["at"] in (4, 9, 11) else None

    script = Script(sampled.ideal, fault)
    with LoopbackServer(script) as server:
        pipeline = make_pipeline(server.url, candidates=2, engine={"concurrency": 1})
        left = []
        for _ in range(3):
            with pytest.raises(EngineError):
                repair_run(root, pipeline)
            run = Run.open_or_create(root, None)
            left.append(sum(1 for _ in iter_undecided(Session(run, pipeline), pipeline.repair)))
        repair_run(root, pipeline)
        assert left == sorted(left, reverse=True)
        paid = script.paid.total()
        clean = Script(sampled.ideal)
        server.answer = clean
        repair_run(undisturbed, pipeline)
    assert audit(Run.open_or_create(root, None)) == []
    assert paid == clean.paid.total()
    for path in sorted((undisturbed / "repairs").glob("*.parquet")):
        again = root / "repairs" / path.name
        assert again.read_bytes() == path.read_bytes()
    assert Repair.SCHEMA == "dfgen.repair/1"
