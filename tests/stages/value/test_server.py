"""`dfgen value` through a server: it is given text, and what it says counts as the policy's."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from dfgen.stages.session import Session
from dfgen.store.run import Run
from tests.stages.score.running import call, read
from tests.stages.value.running import make_pipeline
from tests.support.loopback import LoopbackServer, Received, Reply, write_completion

DRAWS = 3


class Policy:
    """Ends an answer rightly at even seeds, and counts a closed message one token longer."""

    def __init__(self, root: Path) -> None:
        rows = Run.open_or_create(root, None).table("prompts").iter_rows()
        self.answers = {row["question"]: row["answer"] for row in rows}
        self.right: Counter[tuple[str, str]] = Counter()
        self.asked: Counter[tuple[str, str]] = Counter()

    def __call__(self, received: Received) -> Reply:
        payload = received.payload
        begun = ""
        messages = payload["messages"]
        if messages[-1]["role"] == "assistant":
            begun = messages[-1]["content"]
        question = next(
            part["text"] for part in messages[0]["content"] if part["type"] == "text"
        ).strip()
        right = payload["seed"] % 2 == 0
        text = f"\nAnswer: {self.answers[question] if right else 'none'}"
        body = write_completion(text)
        body["usage"]["prompt_tokens"] += not payload.get("continue_final_message", False)
        if payload["max_tokens"] > 1:
            self.right[question, begun] += right
            self.asked[question, begun] += 1
        return Reply(body)


@pytest.fixture
def engine_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.usefixtures("engine_of")
def test_a_server_is_given_text_and_rows_say_so(root: Path) -> None:
    policy = Policy(root)
    with LoopbackServer(policy) as server:
        engine = (
            f"value.engine={{engine: openai, model: m, base_url: '{server.url}', "
            "price: {prompt: 1, completion: 2}}"
        )
        options = ("--set", engine, "--set", f"value.draws={DRAWS}")
        told = json.loads(call("value", root, *options, "--dry-run", "--json").output)["estimate"]
        assert server.count == 0
        call("value", root, *options)
    written = told["continuation_tokens"]
    given = told["prompt_and_prefix_tokens"]
    assert told["usd"] == pytest.approx((2 * written + given) / 1e6, abs=1e-4)
    values = read(root, "values")
    assert values and {row["prefix"] for row in values.values()} == {"text"}
    answers, repairs = read(root, "trajectories"), read(root, "repairs")
    run = Run.open_or_create(root, None)
    questions = {row["prompt_id"]: row["question"] for row in run.table("prompts").iter_rows()}
    tokenizer = Session(run, make_pipeline()).tokenizer
    seen = 0
    for key, row in values.items():
        for point in row["value_points"]:
            if point["draws"] == 0 or point["side"] == "repair":
                continue
            begun = tokenizer.decode(answers[key]["completion_ids"][: point["index"]])
            asked = questions[row["prompt_id"]], begun
            assert point["draws"] == DRAWS
            assert policy.asked[asked] % DRAWS == 0
            if policy.asked[asked] == DRAWS:
                assert point["right"] == policy.right[asked]
                seen += 1
    assert seen > 10
    assert repairs.keys() >= values.keys()
    assert sum(policy.asked.values()) == told["continuations"]


@pytest.mark.usefixtures("engine_of")
def test_a_server_in_the_lane_of_batches_is_asked_directly_where_that_is_said(root: Path) -> None:
    with LoopbackServer(Policy(root)) as server:
        engine = f"value.engine={{engine: openai, model: m, base_url: '{server.url}', lane: batch}}"
        options = ("--set", engine, "--set", f"value.draws={DRAWS}", "--no-check")
        refused = call("value", root, *options, code=1).output
        assert server.count == 0
        assert "cannot wait for answers in lane batch" in refused
        way = "--set value.engine.lane=online"
        assert way in refused
        call("value", root, *options, *way.split())
        assert server.count > 0
    assert read(root, "values")
