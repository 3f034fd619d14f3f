"""The repair stage over a run: copies, growth, resume in the middle of a round."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

from dfgen.config.engine import Price
from dfgen.engines.base import EngineInfo, Request, Result, Usage
from dfgen.errors import DfgenError, EngineError
from dfgen.grade.pool import GradePool
from dfgen.records import Repair
from dfgen.runners.local import run_stages
from dfgen.stages.progress import Silence
from dfgen.stages.repair.remaining import iter_undecided
from dfgen.stages.repair.requests import Repairer
from dfgen.stages.repair.spending import Spent, SpentCount
from dfgen.stages.repair.stage import run_repair
from dfgen.stages.session import Session
from dfgen.store.counts import count_rows
from dfgen.store.finishing import finish_shard
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.faults.framing import find_student
from tests.faults.server import Script, make_pipeline, repair_run, sample_run
from tests.support.loopback import LoopbackServer, Received, Reply, write_error


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def make_copies(root: Path) -> dict[str, list[str]]:
    """Give every wrong trajectory of a prompt the text and ids of the first; return the groups."""
    groups: dict[str, list[str]] = {}
    run = Run.open_or_create(root, None)
    for shard in run.table("trajectories").shards():
        rows = list(run.table("trajectories").iter_rows(shard))
        first: dict[str, dict] = {}
        for row in rows:
            if row["reward"] < 1 and row["finish_reason"] == "stop":
                like = first.setdefault(row["prompt_id"], row)
                for name in ("completion", "completion_ids", "logprobs", "verdict"):
                    row[name] = like[name]
                groups.setdefault(row["prompt_id"], []).append(row["trajectory_id"])
        finish_shard(run, "sample", shard, rows)
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
    assert SpentCount().count(run).requests == len(groups)


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


class CheapAfterFour:
    """Takes four requests at a time; the first four cost ten cents each, the others nothing."""

    info = EngineInfo("scripted", "1", "m", None, None, None)

    def __init__(self, ideal: dict[str, str]) -> None:
        self.ideal = ideal
        self.done = 0

    def generate(self, requests: Iterable[Request]) -> Iterator[list[Result]]:
        source = iter(requests)
        while batch := list(islice(source, 4)):
            yield [self.answer(request) for request in batch]

    def answer(self, request: Request) -> Result:
        self.done += 1
        text = "".join(part for part in request.messages[-1].content if isinstance(part, str))
        usage = Usage(100_000 if self.done <= 4 else 0, 0)
        return Result(request.key, self.ideal[find_student(text)], None, None, "stop", usage=usage)

    def close(self) -> None:
        """Nothing to let go of."""


def test_a_limit_holds_nothing_back_that_has_a_place_after_all(tmp_path: Path) -> None:
    root = tmp_path / "run"
    pipeline = make_pipeline("http://127.0.0.1:1/v1", max_cost_usd=0.65)
    engine = CheapAfterFour(sample_run(root, pipeline).ideal)
    run = Run.open_or_create(root, pipeline)
    session = Session(run, pipeline)
    with run.lock(), closing(session), GradePool(pipeline.grade) as pool:
        run.check_stage("repair", pipeline, {})
        repairer = Repairer(
            pipeline.repair, engine, session.tokenizer, pool, pipeline.mask, 0, Price(prompt=1.0)
        )
        run_repair(session, repairer, session.list_unfinished("repair"))
    assert audit(run) == []
    assert count_rows(run)["repair"]["pending"] == 0
    assert SpentCount().count(run) == Spent(engine.done, pytest.approx(0.4))


def test_another_template_is_another_run(tmp_path: Path) -> None:
    root, file = tmp_path / "run", tmp_path / "mine.txt"
    file.write_text(MINE, "utf-8")
    sampled = sample_run(root, make_pipeline("http://127.0.0.1:1/v1"))
    script = Script(sampled.ideal)
    with LoopbackServer(script) as server:
        pipeline = make_pipeline(server.url, prompt=f"file:{file}", max_requests=2)
        with pytest.raises(DfgenError, match="limit"):
            repair_run(root, pipeline)
        assert all(received.text.startswith("Mend") for received in server.received)
        run = Run.open_or_create(root, None)
        recorded = run.manifest.get_stage("repair").fingerprint["facts.repair.template"]
        assert recorded == hashlib.sha256(MINE.encode()).hexdigest()
        file.write_text(f"{MINE} Please.", "utf-8")
        with pytest.raises(DfgenError, match="template"):
            repair_run(root, pipeline)
    assert sum(script.paid.values()) == 2


MINE = "Mend this.\n<student_answer x>\n{completion}\n</student_answer x>{images}"


class Notes(Silence):
    """Keeps what a progress bar would show beside the rows."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def advance(self, rows: int, accepted: int = 0, rejected: int = 0, note: str = "") -> None:
        self.shown.append(note)


def test_the_bar_shows_what_was_spent_over_all_starts(tmp_path: Path) -> None:
    root = tmp_path / "run"
    sampled = sample_run(root, make_pipeline("http://127.0.0.1:1/v1"))
    notes = Notes()
    with LoopbackServer(Script(sampled.ideal)) as server:
        price = {"prompt": 1000.0, "completion": 1000.0}
        with pytest.raises(DfgenError, match="limit"):
            repair_run(root, make_pipeline(server.url, max_requests=3, engine={"price": price}))
        pipeline = make_pipeline(server.url, engine={"price": price})
        run = Run.open_or_create(root, pipeline)
        with run.lock():
            run_stages(Session(run, pipeline, notes), ("repair",))
    spent = SpentCount().count(run)
    requests, cost = spent.requests, spent.cost_usd
    # Ten tokens each, at a thousand dollars a million.
    assert cost == pytest.approx(requests * 0.01)
    assert notes.shown[-1] == f"${cost:.2f}"
    assert notes.shown == sorted(notes.shown)
    assert float(notes.shown[0][1:]) >= 0.04
