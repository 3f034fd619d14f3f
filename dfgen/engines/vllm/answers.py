"""What vLLM returns, as results."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from dfgen.engines.base import Failure, FinishReason, Request, Result, Usage
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
        return fail(request, Failure("engine_error", detail), usage)
    logprobs = None
    if request.with_logprobs:
        logprobs = [
            float(entry[token].logprob)
            for token, entry in zip(token_ids, completion.logprobs, strict=True)
        ]
        if any(map(math.isnan, logprobs)):
            raise EngineError(
                "vLLM computed probabilities that are not numbers (NaN).",
                where=f"request {request.key}",
                hint="Try dtype bfloat16 or float32.",
            )
    # A number is one of the model's end-of-sequence ids: dfgen gives no stop tokens of its own.
    stop = completion.stop_reason
    return Result(
        key=request.key,
        text=completion.text if request.sampling.stop else decode(token_ids),
        token_ids=token_ids,
        logprobs=logprobs,
        finish_reason=finish_reason,
        stop_reason=stop if isinstance(stop, str) else None,
        usage=usage,
    )


def fail(request: Request, failure: Failure, usage: Usage | None = None) -> Result:
    """Make the result of a request that gave no completion."""
    return Result(request.key, "", None, None, "error", usage=usage or Usage(), failure=failure)


def is_retryable(output: Any) -> bool:
    """Whether vLLM asks for the request once more: its caches of pictures ran apart."""
    return str(output.outputs[0].finish_reason) == "error"


def count_image_tokens(rendered: Any, image_token: int | None) -> int | None:
    """Tokens of a rendered prompt that stand for pictures; None where the model does not say."""
    if image_token is None:
        return None
    return sum(1 for token in rendered["prompt_token_ids"] if token == image_token)


def find_stray_token(rendered: Any, image_token: int | None) -> int | None:
    """Position of a picture's token that no picture belongs to; None if there is none.

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
