"""Who waits for a server hears for what: that nothing answers, or that it is told to wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import Request
from dfgen.engines.late import LateEngine
from dfgen.engines.openai import engine as openai_engine
from dfgen.engines.openai.engine import OpenAIEngine
from tests.engines.making import make_request
from tests.support.loopback import LoopbackServer, Received, Reply, write_completion, write_error

ENOUGH = 3
"""Sentences after which a server answers."""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(openai_engine, "_SILENCE_S", 0.01)


def listen(
    answer: Callable[[Received], Reply], heard: threading.Event, **settings: Any
) -> list[str]:
    """Ask three things of a server until something was said often enough; return what was."""
    said: list[str] = []

    def tell(sentence: str) -> None:
        said.append(sentence)
        if len(said) == ENOUGH:
            heard.set()
            engine.cut_waits()

    with LoopbackServer(answer) as server:
        inner = OpenAIEngine(
            OpenAIConfig(model="m", base_url=server.url, concurrency=2, **settings)
        )
        engine = LateEngine(lambda: inner)
        engine.tell_waits(tell)
        for _ in engine.generate(make_request(number, "Hi") for number in range(3)):
            pass
        assert all(f"from {server.url}: " in sentence for sentence in said)
    return said


def test_of_a_server_that_does_not_answer() -> None:
    heard = threading.Event()

    def answer(_: Received) -> Reply:
        assert heard.wait(300)
        return Reply(write_completion("x"))

    said = listen(answer, heard)
    assert len(said) >= ENOUGH
    assert said[0].startswith("no answer for ")
    assert said[0].endswith(": 3 requests out.")


def test_of_a_server_that_says_to_wait() -> None:
    refusal = Reply(write_error("come again tomorrow"), 429, headers={"Retry-After": "86400"})
    said = listen(lambda _: refusal, threading.Event())
    assert any("to be sent again, the next in " in sentence for sentence in said)
    assert "come again tomorrow" in said[-1]


@pytest.mark.parametrize("rate", ["requests_per_minute", "tokens_per_minute"])
def test_what_is_kept_back_here_is_no_silence_of_the_server(rate: str) -> None:
    answer = Reply(write_completion("x"))
    said = listen(lambda _: answer, threading.Event(), **{rate: 1})
    assert "2 of them not sent yet: requests_per_minute or tokens_per_minute." in said[-1]


def test_nobody_is_silent_who_was_asked_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time before a request is that of who makes it."""
    heard, now, said = threading.Event(), [0.0], list[str]()
    monkeypatch.setattr(openai_engine, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def answer(_: Received) -> Reply:
        assert heard.wait(300)
        return Reply(write_completion("x"))

    def ask() -> Iterator[Request]:
        now[0] += 600
        yield make_request(1, "Hi")

    def tell(sentence: str) -> None:
        said.append(sentence)
        heard.set()

    with LoopbackServer(answer) as server:
        engine = OpenAIEngine(OpenAIConfig(model="m", base_url=server.url))
        engine.tell_waits(tell)
        assert len([result for together in engine.generate(ask()) for result in together]) == 1
    assert said[0].startswith("no answer for 0 s")


def test_nothing_is_said_while_answers_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_engine, "_SILENCE_S", 300.0)
    said: list[str] = []
    with LoopbackServer(lambda _: Reply(write_completion("x"))) as server:
        engine = OpenAIEngine(OpenAIConfig(model="m", base_url=server.url))
        engine.tell_waits(said.append)
        results = [r for b in engine.generate([make_request(1, "Hi")]) for r in b]
    assert len(results) == 1
    assert said == []
