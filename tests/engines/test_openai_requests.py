"""The OpenAI engine against a real loopback server: what is sent, and what comes back."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import Request, Result, require_scoring
from dfgen.engines.openai.classify import Backoff
from dfgen.engines.openai.engine import OpenAIEngine
from dfgen.errors import EngineError
from dfgen.stages.stopping import StopSignal
from tests.engines.making import draw_image, make_request
from tests.support.loopback import (
    Answer,
    LoopbackServer,
    Received,
    Reply,
    write_completion,
    write_error,
)
from tests.support.waiting import wait_until

FAST = Backoff(max_retries=3, base=0.01, longest=0.05)


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for name in ("BASE_URL", "ORG_ID", "PROJECT_ID", "CUSTOM_HEADERS"):
        monkeypatch.delenv(f"OPENAI_{name}", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def echo(received: Received) -> Reply:
    return Reply(write_completion(received.text, token_ids=[5, 6, 1], logprobs=[-0.5, -1.0, -0.25]))


def open_engine(server: LoopbackServer, backoff: Backoff = FAST, **settings: Any) -> OpenAIEngine:
    config = OpenAIConfig(model="tiny", base_url=server.url, **settings)
    return OpenAIEngine(config, backoff)


def run(answer: Answer, *requests: Request, **settings: Any) -> tuple[list[Result], LoopbackServer]:
    with LoopbackServer(answer) as server:
        engine = open_engine(server, **settings)
        results = [result for batch in engine.generate(requests) for result in batch]
    return sorted(results, key=lambda result: result.key), server


def test_a_completion_comes_back_whole() -> None:
    [result], _ = run(echo, make_request("a", "Hello"))
    assert result.text == "Hello"
    assert result.token_ids == [5, 6, 1]
    assert result.logprobs == [-0.5, -1.0, -0.25]
    assert result.finish_reason == "stop"
    assert result.failure is None
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (7, 3)
    assert result.usage.image_tokens is None


def test_the_chat_is_sent_with_its_pictures_as_they_are() -> None:
    red, blue = draw_image("red"), draw_image("blue")
    request = make_request("a", red, "Which?", blue, "Say.", system="Be brief.")
    [_], server = run(echo, request)
    system, user = server.received[0].payload["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    assert [part["type"] for part in user["content"]] == ["image_url", "text", "image_url", "text"]
    url = user["content"][2]["image_url"]["url"]
    head, _, encoded = url.partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(encoded) == blue.data
    assert server.received[0].path == "/v1/chat/completions"


def test_sampling_is_sent_in_full() -> None:
    request = make_request(
        "a", "Hi", seed=2**63 - 1, temperature=0.7, top_p=0.9, top_k=5, max_tokens=9, stop=("\n\n",)
    )
    [_], server = run(echo, request)
    sent = server.received[0].payload
    assert sent["messages"] == [{"role": "user", "content": "Hi"}]
    expected = {
        "model": "tiny",
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 5,
        "max_tokens": 9,
        "stop": ["\n\n"],
        "seed": 2**63 - 1,
        "logprobs": True,
        "return_token_ids": True,
    }
    assert {name: sent[name] for name in expected} == expected
    assert not sent.keys() & {"chat_template", "chat_template_kwargs", "n", "stream"}


def test_defaults_of_the_served_model_cannot_leak_in() -> None:
    [_], server = run(echo, make_request("a", "Hi"))
    sent = server.received[0].payload
    assert (sent["top_k"], sent["min_p"], sent["repetition_penalty"]) == (-1, 0.0, 1.0)


def test_a_request_for_text_only_uses_no_extension_of_the_protocol() -> None:
    [_], server = run(echo, make_request("a", "Hi", with_logprobs=False))
    assert server.received[0].payload.keys() == {
        "model",
        "messages",
        "temperature",
        "top_p",
        "max_tokens",
        "seed",
    }


def test_templates_and_extra_fields_are_sent_when_given() -> None:
    request = make_request(
        "a", "Hi", chat_template="{{ x }}", chat_template_args={"enable_thinking": False}
    )
    extra = {"max_tokens": None, "max_completion_tokens": 5, "priority": 1}
    [_], server = run(echo, request, extra_body=extra)
    sent = server.received[0].payload
    assert sent["chat_template"] == "{{ x }}"
    assert sent["chat_template_kwargs"] == {"enable_thinking": False}
    assert "max_tokens" not in sent
    assert (sent["max_completion_tokens"], sent["priority"]) == (5, 1)


def test_a_server_without_token_ids_gives_none() -> None:
    def answer(received: Received) -> Reply:
        return Reply(write_completion("x", logprobs=[-1.0]))

    [result], _ = run(answer, make_request("a", "Hi"))
    assert result.token_ids is None
    assert result.logprobs is None
    assert result.text == "x"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"finish_reason": "length"}, ("length", None)),
        ({"finish_reason": "content_filter"}, ("content_filter", None)),
        ({"stop_reason": "\n\n"}, ("stop", "\n\n")),
        ({"stop_reason": 374}, ("stop", "374")),
        ({"finish_reason": "eos_token"}, ("stop", None)),
    ],
)
def test_finish_reasons(choice: dict[str, Any], expected: tuple[str, str | None]) -> None:
    [result], _ = run(lambda _: Reply(write_completion("x", **choice)), make_request("a", "Hi"))
    assert (result.finish_reason, result.stop_reason) == expected


def test_concurrency_is_used_and_bounded() -> None:
    together = threading.Barrier(8, timeout=300)

    def answer(received: Received) -> Reply:
        together.wait()
        return Reply(write_completion("x"))

    requests = [make_request(index, "Hi") for index in range(40)]
    results, server = run(answer, *requests, concurrency=8)
    assert len(results) == 40
    assert server.peak == 8


def test_results_come_as_they_finish_and_requests_are_pulled_lazily() -> None:
    slow = threading.Event()
    pulled = []

    def answer(received: Received) -> Reply:
        if received.text == "0":
            slow.wait(300)
        return Reply(write_completion(received.text))

    def requests() -> Iterator[Request]:
        for index in range(30):
            pulled.append(index)
            yield make_request(index, str(index))

    with LoopbackServer(answer) as server:
        results = open_engine(server, concurrency=4).generate(requests())
        first = next(results)
        assert "0" not in {result.key for result in first}
        assert len(pulled) <= 4 + 2 + len(first)
        slow.set()
        keys = {result.key for batch in [first, *results] for result in batch}
    assert keys == {str(index) for index in range(30)}
    assert server.count == 30


def test_closing_early_cancels_and_leaves_nothing_behind() -> None:
    release = threading.Event()

    def answer(received: Received) -> Reply:
        if received.text != "0":
            release.wait(300)
        return Reply(write_completion(received.text))

    with LoopbackServer(answer) as server:
        results = open_engine(server, concurrency=4).generate(
            make_request(index, str(index)) for index in range(100)
        )
        assert next(results) == []  # about to wait
        assert [result.key for result in next(filter(None, results))] == ["0"]
        results.close()  # type: ignore[attr-defined]
        assert not [t for t in threading.enumerate() if t.name == "dfgen-openai"]
        release.set()
    assert server.count <= 6


def test_an_error_of_the_caller_ends_the_thread_too() -> None:
    def requests() -> Iterator[Request]:
        yield make_request("a", "Hi")
        raise KeyboardInterrupt

    with LoopbackServer(echo) as server, pytest.raises(KeyboardInterrupt):
        list(open_engine(server).generate(requests()))
    assert not [t for t in threading.enumerate() if t.name == "dfgen-openai"]


def test_ctrl_c_ends_the_process_at_once() -> None:
    """An interrupt while all requests are in flight cancels them; nobody waits for the server."""
    release = threading.Event()

    def answer(received: Received) -> Reply:
        release.wait()
        return Reply(write_completion("late"))

    code = (
        "import sys; from dfgen.config.engine import OpenAIConfig;"
        "from dfgen.engines.loading import load_engine;"
        "from tests.engines.making import make_request;"
        "engine = load_engine(OpenAIConfig(model='tiny', base_url=sys.argv[1]));"
        "list(engine.generate(make_request(index, 'Hi') for index in range(8)))"
    )
    with LoopbackServer(answer) as server:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code, server.url],
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: server.count >= 8, lambda: process.poll() is None)
        process.send_signal(signal.SIGINT)
        # A retry would wait for longer than this, the server for ever.
        _, said = process.communicate(timeout=300)
        release.set()
    assert process.returncode == -signal.SIGINT
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert "ResourceWarning" not in said
    assert "never retrieved" not in said


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
@pytest.mark.parametrize(
    ("reply", "settings"),
    [
        (Reply(write_error("later"), 429, {"retry-after": "9" * 20}), {}),
        (Reply(write_error("down"), 500), {}),
        (Reply(write_completion("fine")), {"requests_per_minute": 0.1}),
    ],
)
def test_a_stop_cuts_waits_and_lets_what_is_in_flight_finish(
    name: str, reply: Reply, settings: dict[str, Any]
) -> None:
    """The first request is answered only after the stop; the others wait, for minutes."""
    told = threading.Event()

    def answer(received: Received) -> Reply:
        if received.number == 0:
            told.wait()
            return Reply(write_completion("in flight"))
        return reply

    def interrupt() -> None:
        wait_until(lambda: server.count >= (1 if settings else 2))
        os.kill(os.getpid(), signal.Signals[name])
        wait_until(lambda: stop.requested)
        told.set()

    def feed() -> Iterator[Request]:
        for index in range(9):
            if stop.requested:
                return
            yield make_request(index, "Hi")

    with LoopbackServer(answer) as server, StopSignal() as stop:
        engine = open_engine(server, Backoff(base=3600.0, longest=3600.0), **settings)
        interrupting = threading.Thread(target=interrupt)
        interrupting.start()
        with stop.calling(engine.cut_waits):
            results = [result for batch in engine.generate(feed()) for result in batch]
        interrupting.join()
    assert [(result.text, result.failure) for result in results] == [("in flight", None)]


def test_a_stop_before_the_start_cuts_waits_too() -> None:
    later = Reply(write_error("later"), 429, {"retry-after": "600"})
    with LoopbackServer(lambda _: later) as server, StopSignal() as stop:
        engine = open_engine(server)
        signal.raise_signal(signal.SIGINT)
        with stop.calling(engine.cut_waits):
            assert [
                result for batch in engine.generate([make_request(0, "")]) for result in batch
            ] == []


def test_nothing_to_do_sends_nothing() -> None:
    results, server = run(echo)
    assert results == []
    assert server.count == 0


def test_the_engine_can_be_used_again() -> None:
    with LoopbackServer(echo) as server:
        engine = open_engine(server)
        for _ in range(2):
            [[result]] = filter(None, engine.generate([make_request("a", "Hi")]))
            assert result.text == "Hi"
        engine.close()


def test_info_names_the_server() -> None:
    with LoopbackServer(echo) as server:
        info = open_engine(server, tokenizer="some/model").info
        assert info.settings["base_url"] == server.url
    assert (info.name, info.model, info.tokenizer) == ("openai", "tiny", "some/model")


def test_headers_are_those_of_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    lines = "X-Gateway: a: b\nauthorization: Bearer other\n\nnothing\nUSER-AGENT: x"
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", lines)
    [_], server = run(echo, make_request("a", "Hi"))
    sent = {name.lower(): value for name, value in server.received[0].headers.items()}
    assert sent["authorization"] == "Bearer sk-1"
    assert (sent["openai-organization"], sent["openai-project"]) == ("org-1", "proj-1")
    assert sent["x-gateway"] == "a: b"
    assert sent["user-agent"].startswith("dfgen/")
    assert sent["content-type"] == sent["accept"] == "application/json"


def test_without_an_account_nothing_is_said_of_one() -> None:
    [_], server = run(echo, make_request("a", "Hi"))
    names = {name.lower() for name in server.received[0].headers}
    assert not {name for name in names if name.startswith(("openai-", "x-stainless"))}


def continue_or_not(received: Received) -> Reply:
    """A server of vLLM's kind: an open message is a token shorter than a closed one."""
    continued = received.payload.get("continue_final_message", False)
    body = write_completion(" you." if continued else "Hello.")
    body["usage"]["prompt_tokens"] = 6 if continued else 7
    return Reply(body)


def test_a_beginning_is_a_last_message_that_is_not_closed() -> None:
    asked = [replace(make_request(name, "Hi"), prefix_text="I see") for name in "abc"]
    results, server = run(continue_or_not, *asked, make_request("d", "Hi"))
    assert [result.text for result in results] == [" you."] * 3 + ["Hello."]
    drawn = [r.payload for r in server.received if r.payload["max_tokens"] > 1]
    assert len(drawn) == 4 and server.count == 4 + 3, "whether it does is asked once"
    for payload in drawn:
        last = payload["messages"][-1]
        begun = last["role"] == "assistant"
        assert payload.get("continue_final_message", False) == begun
        assert begun == (payload.get("add_generation_prompt") is False)
        assert not begun or last["content"] == "I see"


@pytest.mark.parametrize("fields", [("continue_final_message",), ("add_generation_prompt",), ()])
def test_a_server_that_would_begin_anew_is_found_out(fields: tuple[str, ...]) -> None:
    """It reads neither field, or only that about the generation prompt, or refuses the other."""

    def answer(received: Received) -> Reply:
        if fields == ("continue_final_message",) and fields[0] in received.payload:
            return Reply(write_error("unknown field"), 400)
        body = write_completion("Hello.")
        if fields == ("add_generation_prompt",):
            body["usage"]["prompt_tokens"] -= received.payload.get(fields[0]) is False
        return Reply(body)

    with pytest.raises(EngineError, match="does not go on after the beginning"):
        run(answer, replace(make_request("a", "Hi"), prefix_text="I see"))


def test_a_question_at_fault_says_nothing_of_the_server() -> None:
    """The row is a reject; the next one asks anew."""

    def answer(received: Received) -> Reply:
        if "too long" in str(received.payload["messages"][0]["content"]):
            return Reply(write_error("maximum context length", code="context_length_exceeded"), 400)
        return continue_or_not(received)

    asked = [
        replace(make_request(n, w), prefix_text="I see")
        for n, w in (("a", "too long"), ("b", "Hi"))
    ]
    (bad, good), _ = run(answer, *asked, concurrency=1)
    assert bad.failure is not None and bad.failure.reason == "prompt_too_long"
    assert good.text == " you."


def test_given_ids_of_a_turn_are_refused_and_nothing_is_sent() -> None:
    with LoopbackServer(echo) as server:
        engine = open_engine(server)
        assert engine.info.features == ("prefix_text",)
        with pytest.raises(EngineError, match="prefix_ids"):
            list(engine.generate([replace(make_request("a", "Hi"), prefix_ids=(5,))]))
        with pytest.raises(EngineError, match="cannot score"):
            require_scoring(engine)
    assert server.count == 0
