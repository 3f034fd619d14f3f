"""Reads a server's answers without trust: any JSON, or none, may stand in a 200 answer."""

from __future__ import annotations

import json
import math
from typing import Any

from dfgen.engines.base import Failure, FinishReason, Request, Result, Usage

_FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    # Words of other servers for the same thing.
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "max_tokens": "length",
}
# More than is shown in the end: what the server says is cut short after its secrets are taken out,
# or half a key could stand at the cut.
_SHOWN = 4000


class BadAnswerError(Exception):
    """A 200 answer that is not a chat completion; the message says what is wrong with it."""


def read_answer(request: Request, body: bytes) -> Result:
    """Turn the body of a 200 answer into a result.

    Token ids are those of the server, unchanged; None where it gave none. Logprobs count only
    beside token ids.

    Raises:
        BadAnswerError: not JSON, another shape, no choices, no text, ids and logprobs of different
            lengths.
    """
    answer = _load_json(body)
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise BadAnswerError(f"no choices in the answer: {_show(answer)}")
    choice: dict[str, Any] = choices[0]
    message = choice.get("message")
    if not isinstance(message, dict):
        raise BadAnswerError(f"no message in the answer: {_show(choice)}")
    finish_reason = _FINISH_REASONS.get(str(choice.get("finish_reason")))
    if finish_reason is None:
        raise BadAnswerError(f"unknown finish_reason {choice.get('finish_reason')!r}")
    text = message.get("content")
    if text is None and finish_reason != "stop":
        # Cut or filtered before the first visible character.
        text = ""
    if not isinstance(text, str):
        refusal = message.get("refusal")
        if isinstance(refusal, str) and refusal:
            return fail(request, "refused", f"the model refused: {refusal[:_SHOWN]}")
        raise BadAnswerError(f"no text in the answer: {_show(message)}")
    token_ids = _read_ids(choice.get("token_ids"))
    stop_reason = choice.get("stop_reason")
    return Result(
        key=request.key,
        text=text,
        token_ids=token_ids,
        logprobs=None if token_ids is None else _read_logprobs(choice, len(token_ids)),
        finish_reason=finish_reason,
        stop_reason=None if stop_reason is None else str(stop_reason),
        usage=_read_usage(answer, token_ids),
    )


def fail(request: Request, reason: str, detail: str) -> Result:
    """Make the result of a request that gave no completion."""
    return Result(request.key, "", None, None, "error", failure=Failure(reason, detail))


def _load_json(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        # UnicodeDecodeError and JSONDecodeError are ValueErrors.
        start = body[:_SHOWN].decode("utf-8", "replace")
        raise BadAnswerError(f"the answer is not JSON ({error}): {start!r}") from None
    if not isinstance(answer, dict):
        raise BadAnswerError(f"the answer is not a JSON object: {_show(answer)}")
    return answer


def _read_ids(value: Any) -> list[int] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(type(token) is int and token >= 0 for token in value):
        raise BadAnswerError(f"token_ids are not a list of ids: {_show(value)}")
    return value


def _read_logprobs(choice: dict[str, Any], length: int) -> list[float] | None:
    content = choice.get("logprobs")
    content = content.get("content") if isinstance(content, dict) else None
    if content is None:
        return None
    if not isinstance(content, list):
        raise BadAnswerError(f"logprobs are not a list: {_show(content)}")
    values = [entry.get("logprob") if isinstance(entry, dict) else None for entry in content]
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    if len(numbers) != len(values) or not all(map(math.isfinite, numbers)):
        raise BadAnswerError(f"logprobs are not numbers: {_show(values)}")
    if len(numbers) != length:
        raise BadAnswerError(f"{len(numbers)} logprobs for {length} token ids")
    return numbers


def _read_usage(answer: dict[str, Any], token_ids: list[int] | None) -> Usage:
    """Read the counts; what the server does not say is counted from the ids it gave."""
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    prompt_ids = answer.get("prompt_token_ids")
    return Usage(
        prompt_tokens=_read_count(usage.get("prompt_tokens"))
        or (len(prompt_ids) if isinstance(prompt_ids, list) else 0),
        completion_tokens=_read_count(usage.get("completion_tokens")) or len(token_ids or ()),
        image_tokens=_read_count(details.get("image_tokens")),
    )


def _read_count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _show(value: Any) -> str:
    return repr(value)[:_SHOWN]
