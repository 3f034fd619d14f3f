"""Answers that were paid for and not judged: no second request, the same repairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

from dfgen.config.engine import Price
from dfgen.config.pipeline import Pipeline
from dfgen.engines.base import EngineInfo, Failure, Request, Result, Usage
from dfgen.grade.pool import GradePool
from dfgen.stages.repair.judge import Judge, Outcome, Pending
from dfgen.stages.repair.remaining import iter_undecided
from dfgen.stages.repair.requests import Repairer
from dfgen.stages.repair.spending import SpentCount
from dfgen.stages.repair.stage import run_repair
from dfgen.stages.session import Session
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.faults.framing import find_student
from tests.faults.server import make_pipeline, sample_run
from tests.support.paid_attempts import iter_attempts


class PowerCut(BaseException):
    """The end of a process, as far as a test can say so from within."""


class Fours:
    """Answers four requests at a time; one text is more than it takes."""

    info = EngineInfo("scripted", "1", "m", None, None, None)

    def __init__(self, ideal: dict[str, str]) -> None:
        self.ideal = ideal
        self.asked: Counter[str] = Counter()

    def generate(self, requests: Iterable[Request]) -> Iterator[list[Result]]:
        source = iter(requests)
        while batch := list(islice(source, 4)):
            yield [self.answer(request) for request in batch]
            yield []

    def answer(self, request: Request) -> Result:
        self.asked[request.key] += 1
        text = find_student("".join(p for p in request.messages[-1].content if isinstance(p, str)))
        if text == min(self.ideal):
            failure = Failure("prompt_too_long", "no place")
            return Result(request.key, "", None, None, "error", failure=failure)
        repaired = f"<corrected>{self.ideal.get(text, text)}</corrected>"
        return Result(request.key, repaired, None, None, "stop", usage=Usage(1000, 10))

    def close(self) -> None:
        """Nothing to let go of."""


def repair(root: Path, pipeline: Pipeline, engine: Fours) -> Run:
    """Run the stage."""
    run = Run.open_or_create(root, pipeline)
    session = Session(run, pipeline)
    with run.lock(), closing(session), GradePool(pipeline.grade) as pool:
        run.check_stage("repair", pipeline, {})
        repairer = Repairer(
            pipeline.repair, engine, session.tokenizer, pool, pipeline.mask, 0, Price(prompt=1.0)
        )
        run_repair(session, repairer, session.list_unfinished("repair"))
    return run


def cut_power_after(judged: int, patch: pytest.MonkeyPatch) -> None:
    """Let so many answers be judged."""
    original, done = Judge.judge, Counter({"judged": 0})

    def judge(self: Judge, result: Result, waiting: Pending) -> Outcome:
        done["judged"] += 1
        if done["judged"] > judged:
            raise PowerCut
        return original(self, result, waiting)

    patch.setattr(Judge, "judge", judge)


@pytest.mark.parametrize("settings", [{}, {"candidates": 2}, {"controls": 1.0}], ids=str)
def test_what_was_paid_for_is_judged_by_the_next_start(
    settings: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make_pipeline("http://127.0.0.1:1/v1", **settings)
    root, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    ideal = sample_run(root, pipeline).ideal
    sample_run(undisturbed, pipeline)
    engine, clean = Fours(ideal), Fours(ideal)
    # The batch of four that was cut off is judged by the start after the next.
    for judged in (4, 1, 4):
        with monkeypatch.context() as patch, pytest.raises(PowerCut):
            cut_power_after(judged, patch)
            repair(root, pipeline, engine)
    session = Session(Run.open_or_create(root, None), pipeline)
    attempts = list(iter_attempts(session.run))
    unjudged = [attempt for attempt in attempts if attempt["reason"] == "unjudged"]
    assert unjudged and unjudged[0]["cost_usd"] == pytest.approx(1e-3)
    assert SpentCount().count(session.run).requests == engine.asked.total() == len(attempts)
    left = sum(len(row.plan.indices) for row in iter_undecided(session, pipeline.repair))
    repair(root, pipeline, engine)
    # No attempt is refused here but the one that is hopeless, so that the estimate is exact.
    assert engine.asked.total() == len(attempts) + left
    repair(undisturbed, pipeline, clean)
    assert engine.asked == clean.asked
    for folder in ("repairs", "controls", "rejects/repair"):
        files = sorted((undisturbed / folder).glob("*.parquet"))
        assert [path.read_bytes() for path in files] == [
            (root / folder / path.name).read_bytes() for path in files
        ]
    assert list((undisturbed / "repairs").glob("*.parquet"))
    assert audit(Run.open_or_create(root, None)) == []
