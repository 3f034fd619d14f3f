"""What the OpenAI engine does when the server misbehaves: one row, a retry, or the end."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import Failure, Result
from dfgen.engines.openai.classify import Backoff, find_redirect
from dfgen.engines.openai.endpoint import Endpoint
from dfgen.engines.openai.engine import OpenAIEngine
from dfgen.engines.openai.transport import Answer as ServerAnswer
from dfgen.errors import EngineError
from tests.engines.making import make_request
from tests.support.loopback import (
    HELD,
    Answer,
    LoopbackServer,
    Received,
    Reply,
    find_closed_port,
    write_completion,
    write_error,
)

FAST = Backoff(max_retries=3, base=0.01, longest=0.05)
KEY = "sk-secret-0123456789"
GOOD = write_completion("fine")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def open_engine(url: str, backoff: Backoff = FAST, **settings: Any) -> OpenAIEngine:
    return OpenAIEngine(OpenAIConfig(model="tiny", base_url=url, **settings), backoff)


def run(answer: Answer, count: int = 1, **settings: Any) -> tuple[list[Result], int]:
    with LoopbackServer(answer) as server:
        engine = open_engine(server.url, **settings)
        requests = [make_request(index, str(index)) for index in range(count)]
        results = [result for batch in engine.generate(requests) for result in batch]
        return sorted(results, key=lambda result: int(result.key)), server.count


def first_then_good(*replies: Reply) -> Answer:
    return lambda received: (
        replies[received.number] if received.number < len(replies) else Reply(GOOD)
    )


RETRIED = [
    *(Reply(write_error("busy"), status=code) for code in (408, 409, 425, 429, 500, 502, 503, 504)),
    Reply(b"<html>bad gateway</html>", status=502, headers={"content-type": "text/html"}),
    Reply(drop="before"),
    Reply(GOOD, drop="half"),
]


@pytest.mark.parametrize("reply", RETRIED, ids=lambda reply: f"{reply.status}-{reply.drop}")
def test_passing_troubles_are_retried(reply: Reply) -> None:
    [result], count = run(first_then_good(reply, reply))
    assert result.failure is None
    assert result.text == "fine"
    assert count == 3


@pytest.mark.parametrize("slow", [{"delay": HELD}, {"body_delay": HELD}], ids=["headers", "body"])
def test_slow_answers_are_given_up_and_retried(slow: dict[str, float]) -> None:
    # Answered long after the engine's patience, which is long for an answer that comes at once.
    [result], count = run(first_then_good(Reply(GOOD, **slow)), timeout=2.0)
    assert result.text == "fine"
    assert count == 2


def test_retries_are_bounded_and_then_it_is_that_row() -> None:
    def answer(received: Received) -> Reply:
        bad = received.text == "1"
        return Reply(write_error("broken row"), status=500) if bad else Reply(GOOD)

    results, count = run(answer, count=3, concurrency=1)
    assert [result.failure is None for result in results] == [True, False, True]
    assert results[1].finish_reason == "error"
    assert results[1].failure == Failure("server_error", "HTTP 500: broken row (4 tries)")
    assert count == 1 + 4 + 1


@pytest.mark.parametrize("form", ["seconds", "milliseconds", "date"])
def test_retry_after_is_honoured(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {
        "seconds": {"retry-after": "100"},
        "milliseconds": {"retry-after-ms": "100000"},
        "date": {"retry-after": formatdate(time.time() + 100, usegmt=True)},
    }[form]
    asked = []

    def compute_wait(
        self: Backoff, retries_done: int, retry_after: float | None, *, by_chance: bool = False
    ) -> float:
        asked.append(retry_after)
        return 0.0

    monkeypatch.setattr(Backoff, "compute_wait", compute_wait)
    [result], count = run(first_then_good(Reply(write_error("slow down"), 429, headers)))
    assert result.text == "fine"
    assert count == 2
    # A date is in whole seconds, and some may have passed until it is read.
    assert asked == [pytest.approx(100, abs=30 if form == "date" else 0.001)]


@given(st.integers(0, 100), st.none() | st.floats(0, 1e6), st.booleans())
def test_waits_are_what_their_description_says(
    retries: int, asked: float | None, by_chance: bool
) -> None:
    backoff = Backoff()
    wait = backoff.compute_wait(retries, asked, by_chance=by_chance)
    if asked is None:
        length = min(2.0**retries, backoff.longest)
        length /= 4 if by_chance and retries < 2 else 1
        assert length * (1 - backoff.spread) <= wait <= length * (1 + backoff.spread)
    else:
        least = min(asked, backoff.longest_asked)
        assert least <= wait <= least * (1 + backoff.spread / 2)


def test_no_server_makes_a_run_wait_longer_than_ten_minutes_and_an_eighth() -> None:
    assert Backoff().compute_wait(0, float("9" * 20)) <= 600 * 1.125


REFUSED = [
    (400, "This model's maximum context length is 1024 tokens.", None, "prompt_too_long"),
    (400, "too much", "context_length_exceeded", "prompt_too_long"),
    (400, "max_tokens must be at least 1, got 0. (value=0)", None, "prompt_too_long"),
    (400, "blocked", "content_filter", "content_filter"),
    (400, "cannot identify image file <_io.BytesIO>", None, "image_corrupt"),
    (400, "temperature must be smaller", None, "bad_request"),
    (413, "body too large", None, "request_too_large"),
    (422, "field required", None, "bad_request"),
]


@pytest.mark.parametrize(("status", "message", "code", "reason"), REFUSED)
def test_a_refused_row_is_that_row(status: int, message: str, code: str, reason: str) -> None:
    reply = Reply(write_error(message, code=code), status)
    results, count = run(first_then_good(Reply(GOOD), reply), count=3, concurrency=1)
    assert results[1].failure is not None
    assert results[1].failure.reason == reason
    assert message in results[1].failure.detail
    assert [results[0].text, results[2].text] == ["fine", "fine"]
    assert count == 3


BAD_BODIES = [
    b"",
    b"not json",
    b"\xff\xfe\x00",
    b"[1, 2]",
    b"null",
    b'{"choices": []}',
    b'{"choices": {}}',
    b'{"choices": [null]}',
    b'{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}',
    {"choices": [{"finish_reason": "stop"}]},
    write_completion(None),  # type: ignore[arg-type]
    write_completion("x", finish_reason="abort"),
    write_completion("x", token_ids=["a"]),  # type: ignore[list-item]
    write_completion("x", token_ids=[1, 2], logprobs=[-1.0]),
    write_completion("x", token_ids=[1], logprobs=[float("nan")]),
    b"[" * 100_000,
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: repr(body)[:40])
def test_an_answer_that_is_none_is_a_bad_response(body: Any) -> None:
    results, count = run(first_then_good(Reply(GOOD), Reply(body)), count=3, concurrency=1)
    assert results[1].failure is not None
    assert results[1].failure.reason == "bad_response"
    assert len(results[1].failure.detail) < 500
    assert count == 3


def test_a_refusal_in_words_is_named_so() -> None:
    message = {"role": "assistant", "content": None, "refusal": "I will not."}
    [result], _ = run(first_then_good(Reply(write_completion("", message=message))))
    assert result.failure == Failure("refused", "the model refused: I will not.")


def test_a_large_answer_is_read() -> None:
    text = "x" * 20_000_000
    [result], _ = run(first_then_good(Reply(write_completion(text))))
    assert len(result.text) == len(text)


FATAL = [
    (401, "Incorrect API key provided: " + KEY, None),
    (402, "pay first", None),
    (403, "not for you", None),
    (404, "The model `tiny` does not exist.", None),
    (407, "who are you?", None),
    (429, "You exceeded your current quota", "insufficient_quota"),
]


@pytest.mark.parametrize(("status", "message", "code"), FATAL)
def test_what_no_request_can_survive_stops_at_once(status: int, message: str, code: str) -> None:
    with LoopbackServer(lambda _: Reply(write_error(message, code=code), status)) as server:
        engine = open_engine(server.url, concurrency=1)
        with pytest.raises(EngineError) as caught:
            list(engine.generate(make_request(index, "Hi") for index in range(50)))
    assert server.count <= 2
    assert f"HTTP {status}" in str(caught.value)
    assert server.url in str(caught.value)
    assert "same command" in str(caught.value.hint)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_its_target_is_named(status: int) -> None:
    with LoopbackServer(lambda _: Reply(GOOD)) as other:
        target = other.url.replace("//", f"//user:{KEY}@") + f"/chat/completions?key={KEY}"
        reply = Reply({}, status, headers={"location": target})
        with LoopbackServer(lambda _: reply) as server:
            with pytest.raises(EngineError, match="redirects are not followed") as caught:
                list(open_engine(server.url).generate([make_request("a", "Hi")]))
            assert server.count == 1
        assert other.count == 0
        assert f"to {other.url}/chat/completions (HTTP {status})" in str(caught.value)
    assert "base_url" in str(caught.value.hint)
    assert KEY not in str(caught.value) and "user" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/v2/chat", "http://127.0.0.1:8000/v2/chat"),
        ("http://[", "an address that is none"),
        (f"http://h/{KEY}\x1b[2J", "http://h/***"),
    ],
)
def test_targets_of_redirects_are_shown_safely(target: str, shown: str) -> None:
    endpoint = Endpoint("http://127.0.0.1:8000/v1", KEY)
    found = find_redirect(ServerAnswer(302, {"location": target}, b""), endpoint)
    assert found is not None and found.startswith(shown)
    assert KEY not in found and "\x1b" not in found


def test_results_that_finished_before_the_end_are_yielded() -> None:
    def answer(received: Received) -> Reply:
        bad = received.number >= 5
        return Reply(write_error("expired"), 401) if bad else Reply(GOOD)

    results: list[Result] = []
    with LoopbackServer(answer) as server, pytest.raises(EngineError):
        engine = open_engine(server.url, concurrency=1)
        for batch in engine.generate(make_request(index, "Hi") for index in range(50)):
            results.extend(batch)
    assert len(results) == 5


def test_nothing_listens() -> None:
    url = f"http://127.0.0.1:{find_closed_port()}/v1"
    with pytest.raises(EngineError) as caught:
        list(open_engine(url).generate(make_request(index, "Hi") for index in range(50)))
    assert url in str(caught.value)
    assert "same command" in str(caught.value)


def test_a_server_that_goes_away_ends_the_run_before_rows_are_lost() -> None:
    results: list[Result] = []
    with LoopbackServer(
        lambda received: Reply(GOOD) if received.number < 20 else Reply(drop="before")
    ) as server:
        engine = open_engine(server.url, concurrency=16)
        with pytest.raises(EngineError, match=r"failed \d+ times in a row"):
            for batch in engine.generate(make_request(index, "Hi") for index in range(200)):
                results.extend(batch)
    assert len(results) == 20
    assert all(result.failure is None for result in results)


def test_a_server_that_comes_back_is_waited_for() -> None:
    down = threading.Event()

    def answer(received: Received) -> Reply:
        if 10 <= received.number < 34:
            down.set()
            return Reply(write_error("starting"), 503)
        return Reply(GOOD)

    results, _ = run(answer, count=60, concurrency=16)
    assert down.is_set()
    assert all(result.failure is None for result in results)


def test_a_server_that_refuses_everything_ends_the_run() -> None:
    with LoopbackServer(lambda _: Reply(write_error("unknown field top_k"), 400)) as server:
        engine = open_engine(server.url, concurrency=4)
        with pytest.raises(EngineError, match="unknown field top_k"):
            list(engine.generate(make_request(index, "Hi") for index in range(500)))
    assert server.count < 40


def test_the_key_is_nowhere_to_be_seen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []

    def answer(received: Received) -> Reply:
        seen.append(received.headers["authorization"])
        said = write_error(f"you sent {received.headers['authorization']}")
        if received.number == 0:
            return Reply(GOOD)
        return Reply(said, {1: 400, 2: 500}.get(received.number, 401))

    results: list[Result] = []
    with LoopbackServer(answer) as server:
        engine = open_engine(server.url, Backoff(max_retries=0), concurrency=1)
        with pytest.raises(EngineError) as caught:
            for batch in engine.generate(make_request(index, "Hi") for index in range(9)):
                results.extend(batch)
    assert seen[0] == f"Bearer {KEY}"
    texts = [
        str(caught.value),
        "".join(traceback.format_exception(caught.value)),
        repr(engine),
        repr(vars(engine)),
        repr(engine.info),
        repr(results),
        caplog.text,
    ]
    assert [text for text in texts if KEY in text] == []
    assert "you sent Bearer ***" in repr(results)


def test_the_key_is_kept_in_no_part_of_an_answer() -> None:
    told = write_completion(f"Bearer {KEY}!", stop_reason=KEY)
    told["choices"][0]["message"]["reasoning"] = f"is it {KEY}?"
    [result], _ = run(lambda _: Reply(told))
    assert (result.text, result.reasoning) == ("Bearer ***!", "is it ***?")
    assert KEY not in repr(result)


def test_ids_that_spell_the_key_are_not_kept() -> None:
    told = write_completion(f"Bearer {KEY}!", token_ids=[5, 6], logprobs=[-1.0, -1.0])
    [result], _ = run(lambda _: Reply(told))
    assert result.failure is not None and result.failure.reason == "bad_response"
    assert result.token_ids is None and result.logprobs is None
    assert KEY not in repr(result)


@pytest.mark.parametrize("key", [None, "EMPTY", "red", "example"])
def test_without_a_long_key_answers_stay_as_they_are(
    key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY") if key is None else monkeypatch.setenv(
        "OPENAI_API_KEY", key
    )
    text = "an example of EMPTY red boxes: example"
    [result], _ = run(lambda _: Reply(write_completion(text, token_ids=[5])))
    assert (result.text, result.token_ids) == (text, [5])


def test_a_key_is_asked_for_by_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTHER_KEY", raising=False)
    with pytest.raises(EngineError, match="OTHER_KEY is not set"):
        open_engine("https://api.example.com/v1", api_key_env="OTHER_KEY")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_local_server_needs_no_key(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    engine = open_engine(f"http://{host}:8000/v1")
    assert engine.info.settings["base_url"] == f"http://{host}:8000/v1"


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_broken_key_is_refused_unseen(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(EngineError, match="cannot be a key") as caught:
        open_engine("http://127.0.0.1:1/v1")
    assert key not in str(caught.value)


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://host/v1", "http:///v1"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(EngineError, match="base_url must be"):
        open_engine(url)


def test_a_password_in_the_address_is_not_shown() -> None:
    engine = open_engine("http://user:hunter2@127.0.0.1:8000/v1")
    assert "hunter2" not in repr(engine.info)
    assert "127.0.0.1:8000" in repr(engine.info)
