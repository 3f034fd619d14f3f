"""Texts of a server are held against its token ids."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dfgen.config.pipeline import Pipeline
from dfgen.engines.base import FinishReason, Result
from dfgen.errors import ConfigError
from dfgen.grade.pool import GradePool
from dfgen.stages.ingest import run_prompts
from dfgen.stages.sample.agreement import find_difference
from dfgen.stages.sample.stage import run_sampling
from dfgen.stages.session import Session
from dfgen.stages.work import open_graders
from dfgen.store.run import Run
from tests.support.loopback import LoopbackServer, Received, Reply, write_completion
from tests.support.small_tokenizers import byte_level_bpe
from tests.support.stub_engine import POLICY, make_pipeline

TOKENIZER = byte_level_bpe()
END = 1


def make_result(text: str, ids: list[int] | None = None, **values: Any) -> Result:
    given = [*TOKENIZER.encode(text), END] if ids is None else ids
    finish: FinishReason = values.pop("finish_reason", "stop")
    return Result("a", text, given, None, finish, **values)


SAME = [
    make_result("Answer: 5"),
    make_result(""),
    make_result("", []),
    # Stripped, with special tokens written out, cut inside a character.
    make_result("Answer: 5", TOKENIZER.encode("  Answer:  5\n")),
    make_result("Answer: 5<|end|>", [*TOKENIZER.encode("Answer: 5"), END]),
    make_result("I see ", TOKENIZER.encode("I see і")[:-1]),
    # What a server sets apart.
    make_result("5", TOKENIZER.encode("hm, three</think>\n\n5")),
    make_result("5", TOKENIZER.encode("<think>hm, three</think> 5"), reasoning="hm, three"),
    make_result("", TOKENIZER.encode("<think>hm"), reasoning="hm", finish_reason="length"),
    # A stop string is among the ids.
    make_result("Answer: 5", TOKENIZER.encode("Answer: 5\n\nStep"), stop_reason="\n\n"),
    make_result("", TOKENIZER.encode("bad words"), finish_reason="content_filter"),
]
OTHER = [
    make_result("Answer: 5", []),
    make_result("Answer: 5", TOKENIZER.encode("Answer: 6")),
    make_result("Answer: 5", TOKENIZER.encode("Answer: 5")[:-1]),
    make_result("Answer", TOKENIZER.encode("Answer: 5")),
    make_result("", TOKENIZER.encode("Answer: 5")),
    make_result("Answer: 5", TOKENIZER.encode("Answer: 6"), stop_reason="\n"),
    make_result("5", TOKENIZER.encode("<think>hm</think> 6"), reasoning="hm"),
]


@pytest.mark.parametrize("result", SAME)
def test_what_servers_leave_out_is_no_difference(result: Result) -> None:
    assert find_difference(result, TOKENIZER, stops=False) is None


@pytest.mark.parametrize("result", OTHER)
def test_another_answer_is_a_difference(result: Result) -> None:
    found = find_difference(result, TOKENIZER, stops=False)
    assert found is not None and found.reason == "ids_mismatch"


def test_an_unknown_id_is_named_so() -> None:
    found = find_difference(make_result("x", [10**6]), TOKENIZER, stops=False)
    assert found is not None and found.reason == "token_out_of_vocabulary"


def test_a_stop_string_may_cut_where_one_was_asked_for() -> None:
    result = make_result("Answer", TOKENIZER.encode("Answer: 5"))
    assert find_difference(result, TOKENIZER, stops=True) is None
    assert find_difference(replace(result, text="answer"), TOKENIZER, stops=True) is not None


def serve(tmp_path: Path, answer: Any) -> tuple[Run, LoopbackServer]:
    from dfgen.engines.loading import load_engine

    with LoopbackServer(answer) as server:
        tree = make_pipeline().model_dump(mode="json")
        tree["policy"] = {
            "engine": "openai",
            "model": "served",
            "base_url": server.url,
            "tokenizer": str(POLICY),
            "concurrency": 4,
        }
        pipeline = Pipeline.model_validate(tree)
        run = Run.open_or_create(tmp_path / "run", pipeline)
        assert pipeline.policy is not None
        with run.lock(), open_graders(pipeline.grade) as pool:
            assert isinstance(pool, GradePool)
            session = Session(run, pipeline)
            try:
                run_prompts(session)
                todo = session.list_unfinished("sample")
                run_sampling(session, load_engine(pipeline.policy), pool, todo)
            finally:
                session.close()
    return run, server


def answer_with(text: str, ids: list[int]) -> Reply:
    return Reply(write_completion(text, token_ids=ids, logprobs=[-0.5] * len(ids)))


def test_rows_that_differ_are_rejects(tmp_path: Path) -> None:
    from dfgen.tokens.loading import load_tokenizer

    ids = load_tokenizer(str(POLICY)).encode("Answer: 3")

    def answer(received: Received) -> Reply:
        return answer_with("Answer: 4" if received.number % 4 == 0 else "Answer: 3", ids)

    run, server = serve(tmp_path, answer)
    reasons = Counter(row["reason"] for row in run.rejects("sample").iter_rows())
    assert reasons == {"ids_mismatch": 7}
    assert len(list(run.table("trajectories").iter_rows())) == 21
    assert server.count == 28, "an answer that cannot be used is not paid for twice"


def test_if_all_rows_differ_it_is_the_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        serve(tmp_path, lambda _: answer_with("Answer: 4", [5, 6, 7]))
    assert caught.value.where == "policy.tokenizer"
    assert "'served'" in str(caught.value)
    # Nothing is on record, so that nothing stands in the way of a start with another tokenizer.
    assert not list((tmp_path / "run").rglob("sample-*.jsonl"))


def test_a_journal_with_an_absurd_line_is_read_past(tmp_path: Path) -> None:
    """What an earlier version kept: the cell is drawn again, and it is said once."""
    from tests.support.stub_engine import StubEngine

    pipeline = make_pipeline()
    run = Run.open_or_create(tmp_path / "run", pipeline)
    told: list[str] = []
    with run.lock(), open_graders(pipeline.grade) as pool:
        session = Session(run, pipeline)
        session.progress.tell = told.append  # type: ignore[method-assign, assignment]
        run_prompts(session)
        prompt = next(iter(run.table("prompts").iter_rows(0)))["prompt_id"]
        cell = {"prompt_id": prompt, "finish_reason": "stop", "seed": 1}
        with run.journal("sample", 0) as journal:
            lines: list[dict[str, Any]] = [
                {"prompt_tokens": 10**30},
                {"completion_ids": [2**70]},
                {"logprobs": [-1e999]},
            ]
            for index, absurd in enumerate(lines):
                key = {"trajectory_id": f"{prompt}-{index}", "sample_index": index}
                journal.append([{**cell, **key, **absurd}])
        try:
            run_sampling(session, StubEngine(lambda _: "Answer: 3"), pool, [0, 1, 2])
        finally:
            session.close()
    assert len(list(run.table("trajectories").iter_rows())) == 28
    assert len(told) == 1 and "sample shard 0: 3 of the answers" in told[0]
