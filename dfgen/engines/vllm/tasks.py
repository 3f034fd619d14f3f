"""Says what differs between generating and scoring with vLLM; the queue in `engine` serves both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from dfgen.engines.base import Failure, Request, Result, ScoreRequest, ScoreResult, Usage
from dfgen.engines.processor.loading import ModelProcessor
from dfgen.engines.processor.token_ids import decode_ids
from dfgen.engines.vllm.answers import fail_request, read_output, read_scores
from dfgen.engines.vllm.binding import make_sampling_params, make_scoring_params
from dfgen.engines.vllm.rendering import Rendered

Asked = TypeVar("Asked", Request, ScoreRequest)
Given = TypeVar("Given", Result, ScoreResult)


class Task(ABC, Generic[Asked, Given]):
    """How one kind of request is put to vLLM, and what is made of the answer."""

    @abstractmethod
    def list_fed_ids(self, request: Asked) -> tuple[int, ...]:
        """Return the ids that vLLM reads after the prompt."""

    @abstractmethod
    def count_needed(self, request: Asked) -> int:
        """Return how many tokens need room after the prompt, fed and drawn ones together."""

    @abstractmethod
    def make_params(self, request: Asked) -> Any:
        """Return vLLM's `SamplingParams`."""

    @abstractmethod
    def read(self, request: Asked, rendered: Rendered, output: Any) -> Given:
        """Turn a finished `RequestOutput` into a result."""

    @abstractmethod
    def fail(self, request: Asked, failure: Failure) -> Given:
        """Make the result of a request that cannot be computed."""


class Generate(Task[Request, Result]):
    """Completions: after the prompt comes the prefix, if any, and then what is drawn."""

    def __init__(self, model: ModelProcessor) -> None:
        self._model = model

    def list_fed_ids(self, request: Request) -> tuple[int, ...]:
        """Return the request's prefix."""
        return request.prefix_ids

    def count_needed(self, request: Request) -> int:
        """Return the length of the prefix and the limit of what is drawn."""
        return len(request.prefix_ids) + request.decoding.max_tokens

    def make_params(self, request: Request) -> Any:
        """Return how the tokens are drawn."""
        return make_sampling_params(request)

    def read(self, request: Request, rendered: Rendered, output: Any) -> Result:
        """Return the completion."""
        return read_output(
            request,
            output,
            rendered.image_tokens,
            lambda ids: decode_ids(self._model, ids, request.prefix_ids),
        )

    def fail(self, request: Request, failure: Failure) -> Result:
        """Return a result without a completion."""
        return fail_request(request, failure)


class Score(Task[ScoreRequest, ScoreResult]):
    """Probabilities of completions: all ids but the last are read as a part of the prompt.

    The last one is drawn, as the only id allowed, so that a completion may fill the context to its
    end: vLLM writes at least one token for every request. Logprobs are taken before that
    restriction (`logprobs_mode: raw_logprobs`).
    """

    def list_fed_ids(self, request: ScoreRequest) -> tuple[int, ...]:
        """Return the completion without its last id."""
        return request.completion_ids[:-1]

    def count_needed(self, request: ScoreRequest) -> int:
        """Return the length of the completion."""
        return len(request.completion_ids)

    def make_params(self, request: ScoreRequest) -> Any:
        """Return how the last id is drawn and the logprobs of the others are asked for."""
        return make_scoring_params(request)

    def read(self, request: ScoreRequest, rendered: Rendered, output: Any) -> ScoreResult:
        """Return the logprobs."""
        return read_scores(request, output, rendered.length, rendered.image_tokens)

    def fail(self, request: ScoreRequest, failure: Failure) -> ScoreResult:
        """Return a result without logprobs."""
        return ScoreResult(request.key, None, Usage(), failure)
