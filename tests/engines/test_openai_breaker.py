"""A server that is gone, and rows that a well server cannot take: the run ends, or goes on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import Request, Result
from dfgen.engines.openai.classify import Backoff
from dfgen.engines.openai.engine import OpenAIEngine
from dfgen.errors import EngineError
from tests.engines.making import draw_image, make_request
from tests.support.loopback import (
    HELD,
    Answer,
    LoopbackServer,
    Received,
    Reply,
    write_completion,
    write_error,
)

FAST = Backoff(max_retries=2, base=0.01, longest=0.05)
GOOD = Reply(write_completion("fine"))
TROUBLES = {
    "500": Reply(write_error("broken row"), 500),
    "503": Reply(write_error("busy"), 503),
    "400": Reply(write_error("cannot take this"), 400),
    "reset": Reply(drop="before"),
    "not JSON": Reply(b"<html>sorry</html>"),
    "slow": Reply(write_completion("late"), delay=HELD),
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def is_probe(received: Received) -> bool:
    return not received.text.startswith("row ")


def generate(
    answer: Answer, rows: list[Request], **settings: Any
) -> tuple[list[Result], EngineError | None, LoopbackServer]:
    results: list[Result] = []
    with LoopbackServer(answer) as server:
        config = OpenAIConfig(model="m", base_url=server.url, **settings)
        try:
            for batch in OpenAIEngine(config, FAST).generate(rows):
                results.extend(batch)
        except EngineError as error:
            return results, error, server
    return results, None, server


def make_rows(count: int) -> list[Request]:
    return [make_request(index, f"row {index}") for index in range(count)]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_bad_rows_that_stand_together_are_rejects(trouble: str) -> None:
    bad = {f"row {index}" for index in range(80, 90)}

    def answer(received: Received) -> Reply:
        return TROUBLES[trouble] if received.text in bad else GOOD

    limit = 1.0 if trouble == "slow" else 60.0
    results, error, server = generate(answer, make_rows(200), concurrency=4, timeout=limit)
    assert error is None
    assert len(results) == 200
    assert {f"row {r.key}" for r in results if r.failure is not None} == bad
    probes = sum(map(is_probe, server.received))
    # One for several bad rows; those of one window may cost one more.
    assert probes <= 4
    asked = Counter(received.text for received in server.received)
    if trouble != "slow":  # where a busy machine may make others slow too
        assert all(asked[f"row {index}"] == 1 for index in range(80))


@pytest.mark.parametrize("concurrency", [1, 4, 32])
@pytest.mark.parametrize("trouble", ["500", "400", "not JSON"])
def test_nothing_but_bad_rows_is_no_reason_to_stop(trouble: str, concurrency: int) -> None:
    """As in the second attempt, which asks about what failed in the first and nothing else."""

    def answer(received: Received) -> Reply:
        return GOOD if is_probe(received) else TROUBLES[trouble]

    results, error, server = generate(answer, make_rows(30), concurrency=concurrency)
    assert error is None
    assert all(result.failure is not None for result in results)
    assert len(results) == 30
    assert sum(map(is_probe, server.received)) <= 1 + 30 / 4 + 1


@pytest.mark.parametrize("well_for", [0, 20])
@pytest.mark.parametrize("concurrency", [1, 4, 16])
@pytest.mark.parametrize("trouble", ["500", "503", "400", "reset", "not JSON"])
def test_a_server_that_fails_everything_ends_the_run(
    trouble: str, concurrency: int, well_for: int
) -> None:
    def answer(received: Received) -> Reply:
        return GOOD if received.number < well_for else TROUBLES[trouble]

    results, error, server = generate(answer, make_rows(300), concurrency=concurrency)
    assert error is not None
    assert "kept" in str(error)
    # Before the first success one failure is enough to ask; later it takes four.
    lost = [result for result in results if result.failure is not None]
    assert len(lost) <= (3 if well_for else 0)
    # What was in flight as the run ended is sent again when it goes on.
    assert well_for - concurrency <= len(results) - len(lost) <= well_for
    # 503 is waited for six times as long as the rest.
    assert server.count < (400 if trouble == "503" else 150)


def test_answers_that_were_on_their_way_do_not_speak_for_a_server_that_is_gone() -> None:
    """Good answers of before arrive one by one between the failures, and excuse none of them."""

    def answer(received: Received) -> Reply:
        if received.number < 16:
            return replace(GOOD, delay=0.03 * received.number)
        return replace(TROUBLES["not JSON"], delay=0.04)

    results, error, _ = generate(answer, make_rows(300), concurrency=16)
    assert error is not None
    assert sum(result.failure is not None for result in results) <= 3


def test_a_probe_is_like_the_rows_but_small() -> None:
    probes: list[dict[str, Any]] = []

    def answer(received: Received) -> Reply:
        if is_probe(received):
            probes.append(received.payload)
            return GOOD
        return TROUBLES["400"]

    schema = {"type": "object"}
    row = make_request(
        0, draw_image("red"), "row " + "x" * 10_000, max_tokens=7, system="Be brief."
    )
    row = Request(row.key, row.messages, row.decoding, row.seed, response_schema=schema)
    generate(answer, [row], extra_body={"priority": 3})
    [probe] = probes
    assert (probe["model"], probe["max_tokens"], probe["priority"]) == ("m", 7, 3)
    assert probe["response_format"]["json_schema"]["schema"] == schema
    kinds = [part["type"] for part in probe["messages"][-1]["content"]]
    assert kinds == ["image_url", "text"]
    assert len(str(probe)) < 2000


def test_a_setting_that_the_server_refuses_ends_even_a_short_run() -> None:
    def answer(received: Received) -> Reply:
        if "top_q" in received.payload:
            return Reply(write_error("unknown field top_q"), 400)
        return GOOD

    results, error, _ = generate(answer, make_rows(3), extra_body={"top_q": 1})
    assert error is not None and "top_q" in str(error)
    assert results == []


def test_one_failure_is_told_as_one() -> None:
    _, error, _ = generate(lambda _: TROUBLES["400"], make_rows(1))
    assert error is not None and "has failed once: " in str(error)
