"""The sample stage's runner with a stub engine: what is asked for, when, and what is on disk."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dfgen.config.pipeline import Pipeline
from dfgen.engines.base import Failure, Request
from dfgen.errors import ConfigError, DfgenError, EngineError, RunMismatchError
from dfgen.grade.pool import GradePool
from dfgen.stages.ingest import run_prompts
from dfgen.stages.sample.stage import run_sampling
from dfgen.stages.session import Session
from dfgen.stages.work import open_graders
from dfgen.store.counts import count_rows
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.support.stub_engine import POLICY, Answer, StubEngine, make_pipeline


def sample(root: Path, pipeline: Pipeline, engine: StubEngine) -> Run:
    """Ingest and sample, as `dfgen sample` does, with this engine."""
    run = Run.open_or_create(root, pipeline)
    with run.lock():
        session = Session(run, pipeline)
        try:
            run_prompts(session)
            run.check_stage("sample", pipeline, {})
            todo = session.list_unfinished("sample")
            with open_graders(session.pipeline.grade) as pool:
                run_sampling(session, engine, pool, todo)
            run.set_stage("sample", state="done", counts=count_rows(run)["sample"])
        finally:
            session.close()
    return run


def read(run: Run) -> dict[str, dict[str, Any]]:
    return {row["trajectory_id"]: row for row in run.table("trajectories").iter_rows()}


def read_rejects(run: Run) -> dict[str, dict[str, Any]]:
    return {row["row_id"]: row for row in run.rejects("sample").iter_rows()}


def answer_number(number: int) -> Answer:
    return lambda request: f"Answer: {number}"


def by_index(answers: dict[int, str], default: str = "Answer: 77") -> Answer:
    """Answers that depend on the sample's index alone."""
    return lambda request: answers.get(int(request.key.rpartition("-")[2]), default)


def test_every_cell_once_in_order(tmp_path: Path) -> None:
    engine = StubEngine(answer_number(3))
    run = sample(tmp_path / "run", make_pipeline(), engine)
    rows = read(run)
    assert len(rows) == 28 and Counter(engine.asked) == dict.fromkeys(rows, 1)
    prompts = [row["prompt_id"] for row in run.table("prompts").iter_rows()]
    assert list(rows) == [f"{prompt}-{index}" for prompt in prompts for index in range(4)]
    assert audit(run) == []
    drawn = run.manifest.get_stage("sample").facts["drawn"]
    assert drawn["cells"] == 28 and drawn["tokens"] == sum(
        len(row["completion_ids"]) for row in rows.values()
    )


@pytest.mark.parametrize("die_after", [1, 7, 13, 25])
def test_a_dead_engine_loses_nothing(tmp_path: Path, die_after: int) -> None:
    whole = sample(tmp_path / "whole", make_pipeline(), StubEngine(answer_number(3)))
    first = StubEngine(answer_number(3), die_after=die_after)
    with pytest.raises(EngineError):
        sample(tmp_path / "run", make_pipeline(), first)
    second = StubEngine(answer_number(3))
    run = sample(tmp_path / "run", make_pipeline(), second)
    assert not set(first.asked) & set(second.asked), "nothing is paid for twice"
    assert read(run) == read(whole)
    for path in (tmp_path / "whole" / "trajectories").iterdir():
        assert (tmp_path / "run" / "trajectories" / path.name).read_bytes() == path.read_bytes()
    assert audit(run) == []


def test_a_group_with_six_of_eight_asks_for_two(tmp_path: Path) -> None:
    pipeline = make_pipeline(prompts={"count": 1}, sample={"num_samples": 8})
    with pytest.raises(EngineError):
        sample(tmp_path / "run", pipeline, StubEngine(answer_number(3), batch=6, die_after=6))
    engine = StubEngine(answer_number(3))
    sample(tmp_path / "run", pipeline, engine)
    assert len(engine.asked) == 2


def test_more_samples_keep_those_there_are(tmp_path: Path) -> None:
    before = read(sample(tmp_path / "run", make_pipeline(), StubEngine(answer_number(3))))
    engine = StubEngine(answer_number(4))
    run = sample(tmp_path / "run", make_pipeline(sample={"num_samples": 9}), engine)
    after = read(run)
    assert len(after) == 63 and len(engine.asked) == 35
    assert {key: after[key] for key in before} == before
    assert audit(run) == []


def test_another_temperature_is_refused_by_name(tmp_path: Path) -> None:
    sample(tmp_path / "run", make_pipeline(), StubEngine(answer_number(3)))
    changed = make_pipeline(sample={"temperature": 0.5, "num_samples": 5})
    with pytest.raises(RunMismatchError, match=r"sample\.temperature"):
        sample(tmp_path / "run", changed, StubEngine(answer_number(3)))


def test_a_failing_row_is_a_reject(tmp_path: Path) -> None:
    def answer(request: Request) -> str | Failure:
        return Failure("prompt_too_long", "x") if request.key.endswith("-1") else "Answer: 3"

    run = sample(tmp_path / "run", make_pipeline(), StubEngine(answer))
    assert Counter(row["reason"] for row in read_rejects(run).values()) == {"prompt_too_long": 7}
    assert audit(run) == []


MANY = {"count": 40, "shard_size": 20}


class TestGrading:
    """More cells than are graded at once, so that a shard is graded in several pieces."""

    def test_pieces_make_the_same_files(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pipeline = make_pipeline(prompts=MANY)
        sample(tmp_path / "pieces", pipeline, StubEngine(answer_number(3)))
        monkeypatch.setattr("dfgen.stages.sample.grading._CHUNK", 1000)
        sample(tmp_path / "whole", pipeline, StubEngine(answer_number(3)))
        for path in (tmp_path / "whole" / "trajectories").iterdir():
            other = tmp_path / "pieces" / "trajectories" / path.name
            assert other.read_bytes() == path.read_bytes()

    def test_a_shard_is_not_written_without_a_piece_that_failed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pipeline = make_pipeline(prompts=MANY)
        grade, calls = GradePool.grade_batch, []

        def fail_once(pool: GradePool, items: Any) -> Any:
            calls.append(len(items))
            if len(calls) == 1:
                raise DfgenError("no grading today")
            return grade(pool, items)

        monkeypatch.setattr(GradePool, "grade_batch", fail_once)
        with pytest.raises(DfgenError, match="no grading today"):
            sample(tmp_path / "run", pipeline, StubEngine(answer_number(3)))
        assert not list((tmp_path / "run" / "trajectories").glob("*.parquet"))
        engine = StubEngine(answer_number(3))
        run = sample(tmp_path / "run", pipeline, engine)
        assert len(read(run)) == 160 and len(engine.asked) < 160
        assert audit(run) == []


class TestRetokenize:
    def policy(self, **settings: Any) -> dict[str, Any]:
        return {
            "engine": "openai",
            "model": "served",
            "tokenizer": str(POLICY),
            "base_url": "http://127.0.0.1:1/v1",
            **settings,
        }

    def test_text_without_ids_is_refused(self, tmp_path: Path) -> None:
        pipeline = make_pipeline(policy=self.policy())
        with pytest.raises(EngineError, match="retokenize: true"):
            sample(tmp_path / "run", pipeline, StubEngine(answer_number(3), with_ids=False))

    def test_not_asking_for_ids_is_refused_before_any_request(self, tmp_path: Path) -> None:
        engine = StubEngine(answer_number(3), with_ids=False)
        with pytest.raises(ConfigError, match="return_token_ids is false"):
            sample(
                tmp_path / "run", make_pipeline(policy=self.policy(return_token_ids=False)), engine
            )
        assert engine.asked == []

    @pytest.mark.parametrize("with_ids", [True, False])
    def test_rows_are_marked(self, tmp_path: Path, with_ids: bool) -> None:
        pipeline = make_pipeline(policy=self.policy(retokenize=True))
        run = sample(tmp_path / "run", pipeline, StubEngine(answer_number(3), with_ids=with_ids))
        for row in read(run).values():
            assert row["completion"] == "Answer: 3" and row["completion_ids"]
            assert row["ids_source"] == ("sampled" if with_ids else "encoded")
            assert (row["logprobs"] is None) is not with_ids
        assert audit(run) == []


class TestStopEarly:
    def test_decided_groups_are_not_drawn_further(self, tmp_path: Path) -> None:
        """Every prompt's first two samples are wrong alike: the other two are not drawn."""
        pipeline = make_pipeline(sample={"stop_early_after": 2})
        engine = StubEngine(answer_number(77))
        run = sample(tmp_path / "run", pipeline, engine)
        assert len(engine.asked) == 14 and len(read(run)) == 14
        rejects = read_rejects(run)
        assert len(rejects) == 14
        assert {row["reason"] for row in rejects.values()} == {"group_decided"}
        assert "all wrong" in next(iter(rejects.values()))["detail"]
        assert count_rows(run)["sample"] == {"input": 28, "output": 14, "rejects": 14, "pending": 0}
        assert audit(run) == []

    def test_mixed_groups_are_drawn_to_the_end(self, tmp_path: Path) -> None:
        answers = read_answers(tmp_path)

        def answer(request: Request) -> str:
            prompt_id, _, index = request.key.rpartition("-")
            return f"Answer: {answers[prompt_id]}" if index == "0" else "Answer: 77"

        engine = StubEngine(answer)
        run = sample(tmp_path / "run", make_pipeline(sample={"stop_early_after": 2}), engine)
        assert len(engine.asked) == 28 and not read_rejects(run)
        assert engine.asked.index(next(k for k in engine.asked if k.endswith("-2"))) >= 6

    def test_a_group_with_a_failed_row_is_never_decided(self, tmp_path: Path) -> None:
        def answer(request: Request) -> str | Failure:
            return Failure("image_corrupt", "x") if request.key.endswith("-0") else "Answer: 77"

        pipeline = make_pipeline(sample={"stop_early_after": 2})
        engine = StubEngine(answer)
        sample(tmp_path / "run", pipeline, engine)
        assert len(engine.asked) == 28

    @pytest.mark.parametrize("die_after", [1, 8, 15, 20])
    def test_an_interrupted_run_ends_the_same(self, tmp_path: Path, die_after: int) -> None:
        answers = read_answers(tmp_path)

        def answer(request: Request) -> str:
            prompt_id, _, index = request.key.rpartition("-")
            right = int(prompt_id, 16) % 2 and index == "1"
            return f"Answer: {answers[prompt_id]}" if right else "Answer: 77"

        pipeline = make_pipeline(sample={"stop_early_after": 2})
        whole = sample(tmp_path / "whole", pipeline, StubEngine(answer))
        with pytest.raises(EngineError):
            sample(tmp_path / "run", pipeline, StubEngine(answer, die_after=die_after, batch=1))
        run = sample(tmp_path / "run", pipeline, StubEngine(answer))
        assert (read(run), read_rejects(run)) == (read(whole), read_rejects(whole))
        assert 0 < len(read_rejects(run)) < 14
        assert audit(run) == []

    def test_it_has_no_effect_on_groups_that_are_not_larger(self, tmp_path: Path) -> None:
        engine = StubEngine(answer_number(77))
        sample(tmp_path / "run", make_pipeline(sample={"stop_early_after": 4}), engine)
        assert len(engine.asked) == 28


def read_answers(tmp_path: Path) -> dict[str, str]:
    """Right answer of every prompt."""
    run = sample(tmp_path / "answers", make_pipeline(), StubEngine(answer_number(1)))
    return {row["prompt_id"]: row["answer"] for row in run.table("prompts").iter_rows()}
