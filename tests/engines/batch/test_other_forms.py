"""Anthropic's and Gemini's own batch forms: the same engine in other words."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import Request
from dfgen.engines.openai.batch.engine import BatchEngine
from dfgen.engines.openai.batch.ledger import Keeping
from dfgen.errors import EngineError
from tests.engines.batch.keeping import QUICK, MemoryLog
from tests.engines.making import draw_image, make_request
from tests.support.other_batch_servers import KEY, AnthropicServer, GeminiServer


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_KEY", KEY)


def make_requests(count: int) -> list[Request]:
    colors = ("red", "green", "blue")
    return [
        make_request(f"cell-{i}", draw_image(colors[i % 3]), f"say {i}", system="Be brief.")
        for i in range(count)
    ]


def start(url: str, provider: str, folder: Path, log: MemoryLog, **batch: Any) -> BatchEngine:
    config = OpenAIConfig(
        model="m",
        base_url=url,
        api_key_env="OTHER_KEY",
        lane="batch",
        max_retries=2,
        batch={"provider": provider, "poll_s": 0.005, "settle_s": 0.0, **batch},
    )
    return BatchEngine(config, Keeping(folder, log, lambda names: ()), QUICK)


def count_pictures(requests: list[Request]) -> Counter[str]:
    return Counter(
        part.sha256
        for request in requests
        for message in request.messages
        for part in message.content
        if not isinstance(part, str)
    )


def test_anthropic_answers_fails_and_is_cut_row_by_row(tmp_path: Path) -> None:
    asked: Counter[str] = Counter()

    def answer(text: str) -> tuple[str, str]:
        asked[text] += 1
        if text == "say 1":
            return "errored", "invalid_request_error"
        if text == "say 2" and asked[text] == 1:
            return "errored", "overloaded_error"
        return (
            ("expired", "")
            if text == "say 3" and asked[text] == 1
            else ("succeeded", f"re: {text}")
        )

    requests, log = make_requests(6), MemoryLog()
    with AnthropicServer(answer) as server:
        engine = start(server.url, "anthropic", tmp_path, log)
        found = {each.key: each for results in engine.generate(requests) for each in results}
        assert server.submitted == {f"cell-{i}": 2 if i in (2, 3) else 1 for i in range(6)}
        first = count_pictures(requests) + count_pictures([requests[2], requests[3]])
        assert server.pictures == first
    assert found["cell-1"].failure is not None
    assert found["cell-1"].failure.reason == "bad_request"
    usage = found["cell-2"].usage
    assert found["cell-2"].text == "re: say 2"
    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (7, 4, 2)
    assert len(found) == 6 and list(tmp_path.iterdir()) == []


def test_anthropic_batches_have_no_name_so_a_lost_one_stops_for_a_yes(tmp_path: Path) -> None:
    log = MemoryLog()
    with AnthropicServer(lambda text: ("succeeded", text)) as server:
        engine = start(server.url, "anthropic", tmp_path, log)
        rounds = engine.generate(make_requests(2))
        next(rounds)
        log.records = [each for each in log.records if each["event"] == "intended"]  # killed then
        again = start(server.url, "anthropic", tmp_path, log)
        with pytest.raises(EngineError, match="nobody can tell") as caught:
            next(again.generate(make_requests(2)))
        assert "--resubmit" in str(caught.value.hint)
        rounds.close()


def test_gemini_answers_and_a_batch_whose_answer_was_lost_is_found(tmp_path: Path) -> None:
    requests, log = make_requests(7), MemoryLog()
    with GeminiServer(lambda text: 3 if text == "say 1" else f"re: {text}") as server:
        server.lose_create = 1
        engine = start(server.url, "gemini", tmp_path, log, max_requests=2)
        found = {each.key: each for results in engine.generate(requests) for each in results}
        assert set(server.submitted.values()) == {1}
        assert len(server.made) == 4
        assert server.pictures == count_pictures(requests)
        config = server.made["batches/1"]["metadata"]["rows"][0]["request"]
        assert config["generationConfig"]["maxOutputTokens"] == 12
        assert config["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert found.pop("cell-1").failure is not None
    assert {key: each.text for key, each in found.items()} == {
        f"cell-{i}": f"re: say {i}" for i in range(7) if i != 1
    }
    usage = found["cell-0"].usage
    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (7, 4, 2)


@pytest.mark.parametrize(("priority", "sent"), [(None, None), (-2, "-2"), (0, "0")])
def test_gemini_gets_a_priority_as_the_text_that_it_wants(
    tmp_path: Path, priority: int | None, sent: str | None
) -> None:
    with GeminiServer(lambda text: text) as server:
        engine = start(server.url, "gemini", tmp_path, MemoryLog(), priority=priority)
        assert sum(map(len, engine.generate(make_requests(2)))) == 2
        assert server.priorities == [sent]
