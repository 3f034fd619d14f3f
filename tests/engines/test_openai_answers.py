"""What a 200 answer may hold: other forms of the same thing are read, absurd numbers are not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import Result, is_logprob
from dfgen.engines.openai.answers import BadAnswerError, read_answer
from dfgen.engines.openai.payload import find_max_tokens
from tests.engines.making import make_request
from tests.support.loopback import write_completion

REQUEST = make_request("a", "Hi")


def read(answer: Any, max_tokens: int | None = 12) -> Result:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return read_answer(REQUEST, body, max_tokens)


ABSURD_COUNTS = [10**30, 2**31, -1, True, "7", 1.5, [7], {}, None, float("nan"), float("inf")]


@pytest.mark.parametrize("count", ABSURD_COUNTS, ids=repr)
def test_an_absurd_count_counts_as_not_given(count: Any) -> None:
    answer = write_completion("x", token_ids=[1, 2])
    details = {"image_tokens": count}
    answer["usage"] = dict.fromkeys(("prompt_tokens", "completion_tokens"), count)
    answer["usage"]["prompt_tokens_details"] = details
    usage = read(answer).usage
    # Counted from the ids that the server gave.
    assert (usage.prompt_tokens, usage.completion_tokens, usage.image_tokens) == (7, 2, None)


ABSURD_IDS: list[Any] = [
    [2**70], [2**31], [-1], [True], ["1"], [1.0], [None], [[1]], "12", {"0": 1}, 5
]  # fmt: skip


@pytest.mark.parametrize("ids", ABSURD_IDS, ids=repr)
def test_absurd_ids_are_a_bad_response(ids: Any) -> None:
    with pytest.raises(BadAnswerError, match="token_ids"):
        read(write_completion("x", token_ids=ids))


ABSURD_LOGPROBS: list[Any] = [
    b"-1e400", b"NaN", b"Infinity", b"true", b'"-1"', b"null", b"0.5", b"-1e39", b"[-1]",
    b"-" + b"9" * 400,
]  # fmt: skip


@pytest.mark.parametrize("value", ABSURD_LOGPROBS, ids=lambda value: value.decode()[:12])
def test_an_absurd_logprob_is_a_bad_response(value: bytes) -> None:
    answer = json.dumps(write_completion("x", token_ids=[1], logprobs=[-0.123])).encode()
    with pytest.raises(BadAnswerError, match="logprob"):
        read(answer.replace(b"-0.123", value))


def test_rounding_above_zero_is_no_fault() -> None:
    answer = write_completion("x", token_ids=[1, 2, 3], logprobs=[1e-7, 0, -9999.0])
    assert read(answer).logprobs == [1e-7, 0.0, -9999.0]
    assert not is_logprob(False) and not is_logprob(float("nan")) and is_logprob(-0.0)


def test_more_ids_than_were_asked_for_are_a_bad_response() -> None:
    answer = write_completion("x", token_ids=[1] * 13)
    with pytest.raises(BadAnswerError, match="13 token_ids, and max_tokens is 12"):
        read(answer)
    assert read(answer, max_tokens=None).token_ids == [1] * 13


@pytest.mark.parametrize(
    ("extra", "limit"),
    [
        ({}, 12),
        ({"max_tokens": 5}, 5),
        ({"max_tokens": None, "max_completion_tokens": 2048}, 2048),
        ({"max_tokens": None}, None),
    ],
)
def test_the_limit_is_what_was_sent(extra: dict[str, Any], limit: int | None) -> None:
    config = OpenAIConfig(model="m", base_url="http://127.0.0.1:1/v1", extra_body=extra)
    assert find_max_tokens(config, REQUEST) == limit


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("FinishReason.STOP", "stop"),
        ("Length", "length"),
        ("COMPLETE", "stop"),
        ("SAFETY", "content_filter"),
    ],
)
def test_finish_reasons_in_other_spellings(word: str, meaning: str) -> None:
    assert read(write_completion("x", finish_reason=word)).finish_reason == meaning


@pytest.mark.parametrize("word", ["tool_calls", "abort", None, 5, {"type": "stop"}, ""])
def test_an_unknown_finish_reason_is_named(word: Any) -> None:
    with pytest.raises(BadAnswerError, match="unknown finish_reason"):
        read(write_completion("x", finish_reason=word))


def with_message(finish_reason: str = "stop", **message: Any) -> dict[str, Any]:
    return write_completion("", message=message, finish_reason=finish_reason)


PARTS = [{"type": "text", "text": "Answer"}, {"type": "output_text", "text": ": 7"}]
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
FORMS: list[tuple[dict[str, Any], str, str]] = [
    (with_message(content=PARTS), "Answer: 7", ""),
    (with_message(content=["Answer", ": 7"]), "Answer: 7", ""),
    (with_message(content=[THOUGHT, *PARTS]), "Answer: 7", "hm"),
    (with_message(content="Answer: 7", reasoning_content="hm"), "Answer: 7", "hm"),
    (with_message(content="Answer: 7", reasoning="hm"), "Answer: 7", "hm"),
    (with_message(content=None, reasoning_content="Answer: 7"), "Answer: 7", ""),
    (with_message(content="", reasoning="Answer: 7"), "Answer: 7", ""),
    (with_message(content=[], reasoning="Answer: 7"), "Answer: 7", ""),
    (with_message("length", content=None, reasoning_content="I thi"), "", "I thi"),
    (with_message(content="half \ud83d"), "half ?", ""),
]


@pytest.mark.parametrize(("answer", "text", "reasoning"), FORMS)
def test_forms_of_content(answer: dict[str, Any], text: str, reasoning: str) -> None:
    result = read(answer)
    assert (result.text, result.reasoning) == (text, reasoning)


@pytest.mark.parametrize(
    "content",
    [5, True, {"text": "x"}, [{"type": "image_url", "image_url": {}}], [5], [{"text": 5}]],
    ids=repr,
)
def test_content_that_is_no_text_is_named(content: Any) -> None:
    with pytest.raises(BadAnswerError, match="content"):
        read(with_message(content=content))


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["text", "type", "content", "logprob"]) | st.text(), inner
        )
    ),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "finish_reason": JUNK | st.just("stop"),
            "token_ids": JUNK,
            "stop_reason": JUNK,
            "logprobs": JUNK | st.fixed_dictionaries({"content": JUNK}),
            "message": JUNK
            | st.fixed_dictionaries({}, optional={"content": JUNK, "reasoning": JUNK}),
        },
    ),
    JUNK,
)
def test_no_answer_breaks_the_reader(choice: dict[str, Any], usage: Any) -> None:
    try:
        result = read({"choices": [choice], "usage": usage})
    except BadAnswerError:
        return
    result.text.encode(), (result.stop_reason or "").encode(), result.reasoning.encode()
    assert all(0 <= token < 2**31 for token in result.token_ids or ())
    assert all(map(is_logprob, result.logprobs or ()))
