"""Turns what vLLM returns into results."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from dfgen.engines.base import (
    Failure,
    FinishReason,
    Request,
    Result,
    ScoreRequest,
    ScoreResult,
    Usage,
)
from dfgen.errors import EngineError

_FINISH_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length"}


def read_output(
    request: Request,
    output: Any,
    image_tokens: int | None,
    decode: Callable[[Sequence[int]], str],
) -> Result:
    """Turn a finished `RequestOutput` into a result.

    Token ids are vLLM's, unchanged: the end-of-sequence token is the last one where it was drawn,
    and the tokens of a stop string stay. Logprobs are those of the drawn tokens before temperature
    and truncation (`logprobs_mode: raw_logprobs`). `decode` gives the text where vLLM was not asked
    for it.

    Raises:
        EngineError: a logprob is not a number: the model computes nonsense.
    """
    completion = output.outputs[0]
    token_ids = [int(token) for token in completion.token_ids]
    usage = Usage(len(output.prompt_token_ids), len(token_ids), image_tokens)
    finish_reason = _FINISH_REASONS.get(str(completion.finish_reason))
    if finish_reason is None:
        detail = f"vLLM ended the request with {completion.finish_reason!r}"
        return fail_request(request, Failure("engine_error", detail), usage)
    logprobs = None
    if request.with_logprobs:
        logprobs = _read_logprobs(request.key, token_ids, completion.logprobs)
    # A number is one of the model's end-of-sequence ids: dfgen gives no stop tokens of its own.
    stop = completion.stop_reason
    return Result(
        key=request.key,
        text=completion.text if request.decoding.stop else decode(token_ids),
        token_ids=token_ids,
        logprobs=logprobs,
        finish_reason=finish_reason,
        stop_reason=stop if isinstance(stop, str) else None,
        usage=usage,
    )


def read_scores(
    request: ScoreRequest, output: Any, prompt_tokens: int, image_tokens: int | None
) -> ScoreResult:
    """Turn a finished `RequestOutput` into the logprobs of a completion.

    vLLM gives the logprobs of everything it read, pictures included; those of the completion are
    the last ones, and that of its last id is the drawn token's.

    Args:
        prompt_tokens: in front of the completion, pictures expanded.

    Raises:
        EngineError: a logprob is not a number: the model computes nonsense.
    """
    ids, drawn = request.completion_ids, output.outputs[0]
    usage = Usage(prompt_tokens, len(ids), image_tokens)
    if str(drawn.finish_reason) not in _FINISH_REASONS or list(drawn.token_ids) != [ids[-1]]:
        detail = f"vLLM ended the request with {drawn.finish_reason!r}, ids {drawn.token_ids!r}"
        return ScoreResult(request.key, None, usage, Failure("engine_error", detail))
    entries = [*(output.prompt_logprobs or ())[prompt_tokens:], *drawn.logprobs]
    return ScoreResult(request.key, _read_logprobs(request.key, ids, entries), usage)


def _read_logprobs(key: str, ids: Sequence[int], entries: Sequence[Any]) -> list[float]:
    logprobs = [float(entry[token].logprob) for token, entry in zip(ids, entries, strict=True)]
    if any(map(math.isnan, logprobs)):
        raise EngineError(
            "vLLM computed probabilities that are not numbers (NaN).",
            where=f"request {key}",
            hint="Try dtype bfloat16 or float32.",
        )
    return logprobs


def fail_request(request: Request, failure: Failure, usage: Usage | None = None) -> Result:
    """Make the result of a request that gave no completion."""
    return Result(request.key, "", None, None, "error", usage=usage or Usage(), failure=failure)


def is_retryable(output: Any) -> bool:
    """Tell whether vLLM asks for the request once more: its caches of pictures ran apart."""
    return str(output.outputs[0].finish_reason) == "error"


def count_image_tokens(rendered: Any, image_token: int | None) -> int | None:
    """Count a rendered prompt's tokens that stand for pictures; None where the model says none."""
    if image_token is None:
        return None
    return sum(1 for token in rendered["prompt_token_ids"] if token == image_token)


def find_stray_token(rendered: Any, image_token: int | None) -> int | None:
    """Find the position of a picture's token that no picture belongs to; None if there is none.

    A question that holds a literal `<image>` makes one. vLLM would let the model read it as a word.
    """
    if image_token is None:
        return None
    ranges = rendered.get("mm_placeholders", {}).get("image", ())
    covered = [range(place.offset, place.offset + place.length) for place in ranges]
    for position, token in enumerate(rendered["prompt_token_ids"]):
        if token == image_token and not any(position in span for span in covered):
            return position
    return None
