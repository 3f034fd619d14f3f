"""Reads a server's answers without trust: any JSON, or none, may stand in a 200 answer."""

from __future__ import annotations

import json
from typing import Any, Protocol

from dfgen.engines.base import Failure, FinishReason, Result, Usage, as_utf8, is_logprob

_FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    # Words of other servers for the same things, in lower case and without their prefix.
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "complete": "stop",
    "completed": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "safety": "content_filter",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
}
_REASONING = ("reasoning_content", "reasoning")
_THOUGHTS = ("thinking", "reasoning")
_LARGEST_INT32 = 2**31 - 1
# More than is shown in the end: what the server says is cut short after its secrets are taken out,
# or half a key could stand at the cut.
_SHOWN = 4000


class BadAnswerError(Exception):
    """A 200 answer that is not a chat completion; the message says what is wrong with it."""


class Named(Protocol):
    """A request, as far as its answer needs it."""

    @property
    def key(self) -> str:
        """The caller's name for it."""


def read_answer(request: Named, body: bytes, max_tokens: int | None = None) -> Result:
    """Turn the body of a 200 answer into a result.

    Token ids are those of the server, unchanged; None where it gave none. Logprobs count only
    beside token ids. A count of tokens that is none is taken as not given. Where the text is empty
    and there is reasoning, the server has put the answer into the wrong field, and that is read.

    Args:
        max_tokens: that were asked for; None if nobody knows.

    Raises:
        BadAnswerError: not JSON, another shape, no choices, no text, more ids than were asked for,
            numbers out of their range, ids and logprobs of different lengths.
    """
    return read_completion(request, load_json(body), max_tokens)


def read_completion(
    request: Named, answer: dict[str, Any], max_tokens: int | None = None
) -> Result:
    """Turn a chat completion that is read already into a result. Raises as `read_answer` does."""
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise BadAnswerError(f"no choices in the answer: {_show(answer)}")
    choice: dict[str, Any] = choices[0]
    message = choice.get("message")
    if not isinstance(message, dict):
        raise BadAnswerError(f"no message in the answer: {_show(choice)}")
    finish_reason = _read_finish_reason(choice.get("finish_reason"))
    text, reasoning = _read_texts(message)
    if not text and finish_reason == "stop":
        text, reasoning = reasoning or text, ""
    if text is None and finish_reason != "stop":
        # Cut or filtered before the first visible character.
        text = ""
    if text is None:
        refusal = message.get("refusal")
        if isinstance(refusal, str) and refusal:
            said = f"the model refused: {refusal[:_SHOWN]}"
            return fail(request, "refused", said, _read_usage(answer, None))
        raise BadAnswerError(f"no text in the answer: {_show(message)}")
    token_ids = _read_ids(choice.get("token_ids"), max_tokens)
    stop_reason = choice.get("stop_reason")
    return Result(
        key=request.key,
        text=text,
        token_ids=token_ids,
        logprobs=None if token_ids is None else _read_logprobs(choice, len(token_ids)),
        finish_reason=finish_reason,
        stop_reason=None if stop_reason is None else as_utf8(str(stop_reason)[:_SHOWN]),
        usage=_read_usage(answer, token_ids),
        reasoning=reasoning or "",
    )


def fail(request: Named, reason: str, detail: str, usage: Usage | None = None) -> Result:
    """Make the result of a request that gave no completion.

    Args:
        usage: tokens that it took all the same; None: nobody told.
    """
    failure = Failure(reason, as_utf8(detail))
    spent = usage or Usage()
    return Result(request.key, "", None, None, "error", usage=spent, failure=failure)


def read_spent(body: bytes) -> Usage:
    """Read what an answer that is of no use says of the tokens it took; unknown where it does not.

    It was made, and is paid for.
    """
    try:
        return _read_usage(load_json(body), None)
    except BadAnswerError:
        return Usage()


def load_json(body: bytes) -> dict[str, Any]:
    """Read the JSON object of a body. Raises `BadAnswerError` if it is none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        # UnicodeDecodeError and JSONDecodeError are ValueErrors.
        start = body[:_SHOWN].decode("utf-8", "replace")
        raise BadAnswerError(f"the answer is not JSON ({error}): {start!r}") from None
    if not isinstance(answer, dict):
        raise BadAnswerError(f"the answer is not a JSON object: {_show(answer)}")
    return answer


def _read_finish_reason(value: Any) -> FinishReason:
    # Some servers write the whole name of the constant: "FinishReason.STOP".
    found = _FINISH_REASONS.get(str(value).rpartition(".")[2].lower())
    if found is None:
        raise BadAnswerError(f"unknown finish_reason {_show(value)}")
    return found


def _read_texts(message: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the text of a message and what stands beside it as reasoning."""
    text, thought = _join_parts(message.get("content"))
    for name in _REASONING:
        value = message.get(name)
        if isinstance(value, str) and value and thought is None:
            thought = as_utf8(value)
    return text, thought


def _join_parts(content: Any) -> tuple[str | None, str | None]:
    """Read `content`: a text, or the list of parts that the protocol allows as well."""
    if content is None or isinstance(content, str):
        return None if content is None else as_utf8(content), None
    if not isinstance(content, list):
        raise BadAnswerError(f"content is neither text nor a list of parts: {_show(content)}")
    texts: list[str] = []
    thoughts: list[str] = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        value = part.get(str(kind), part.get("text")) if isinstance(part, dict) else part
        if isinstance(value, list):
            value = _join_parts(value)[0]
        if not isinstance(value, str) or kind not in (None, "text", "output_text", *_THOUGHTS):
            raise BadAnswerError(f"content holds a part that is no text: {_show(part)}")
        (thoughts if kind in _THOUGHTS else texts).append(as_utf8(value))
    return "".join(texts), "".join(thoughts) or None


def _read_ids(value: Any, max_tokens: int | None) -> list[int] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(
        type(token) is int and 0 <= token <= _LARGEST_INT32 for token in value
    ):
        raise BadAnswerError(f"token_ids are not a list of ids: {_show(value)}")
    if max_tokens is not None and len(value) > max_tokens:
        raise BadAnswerError(f"{len(value)} token_ids, and max_tokens is {max_tokens}")
    return value


def _read_logprobs(choice: dict[str, Any], length: int) -> list[float] | None:
    content = choice.get("logprobs")
    content = content.get("content") if isinstance(content, dict) else None
    if content is None:
        return None
    if not isinstance(content, list):
        raise BadAnswerError(f"logprobs are not a list: {_show(content)}")
    values = [entry.get("logprob") if isinstance(entry, dict) else None for entry in content]
    for value in values:
        if not is_logprob(value):
            raise BadAnswerError(f"{_show(value)} is no logprob, in {_show(values)}")
    if len(values) != length:
        raise BadAnswerError(f"{len(values)} logprobs for {length} token ids")
    return [float(value) for value in values if value is not None]


def _read_usage(answer: dict[str, Any], token_ids: list[int] | None) -> Usage:
    """Read the counts; what the server does not say is counted from the ids it gave."""
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    prompt_ids = answer.get("prompt_token_ids")
    read = _read_count(usage.get("prompt_tokens"))
    written = _read_count(usage.get("completion_tokens"))
    cached = _read_count(details.get("cached_tokens"))
    if cached is None:  # DeepSeek's word for the same
        cached = _read_count(usage.get("prompt_cache_hit_tokens"))
    return Usage(
        read or (len(prompt_ids) if isinstance(prompt_ids, list) else read),
        written or (len(token_ids) if token_ids is not None else written),
        _read_count(details.get("image_tokens")),
        cached if cached is None or read is None else min(cached, read),
    )


def _read_count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _LARGEST_INT32 else None


def _show(value: Any) -> str:
    return repr(value)[:_SHOWN]
