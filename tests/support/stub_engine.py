"""An engine without a model: answers come from a function, everything else is real."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from dfgen.config.pipeline import Pipeline
from dfgen.engines.base import EngineInfo, Failure, FinishReason, Request, Result, Usage

POLICY = Path(__file__).parents[2] / "dfgen" / "demo" / "models" / "policy"

Answer = Callable[[Request], str | Failure]


class StubEngine:
    """Finishes requests in batches of odd sizes, out of order.

    Args:
        answer: text of a completion, or why there is none.
        batch: how many requests finish together, at most.
        with_ids: whether the "server" gives token ids.
        die_after: requests after which the engine fails.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        batch: int = 7,
        with_ids: bool = True,
        die_after: int | None = None,
    ) -> None:
        from dfgen.tokens.loading import load_tokenizer

        self._answer = answer
        self._batch = batch
        self._with_ids = with_ids
        self._die_after = die_after
        self._tokenizer = load_tokenizer(str(POLICY))
        self._done = 0
        self.asked: list[str] = []
        self.keep_asked = True

    @property
    def info(self) -> EngineInfo:
        """What made the results."""
        return EngineInfo("stub", "1", "stub", None, None, str(POLICY))

    def generate(self, requests: Iterable[Request]) -> Iterator[list[Result]]:
        """Answer; raises `EngineError` when it is time to die."""
        from dfgen.errors import EngineError

        source = iter(requests)
        while batch := list(islice(source, self._batch)):
            if self.keep_asked:
                self.asked.extend(request.key for request in batch)
            results = [self._complete(request) for request in reversed(batch)]
            self._done += len(results)
            yield results
            if self._die_after is not None and self._done >= self._die_after:
                raise EngineError("the stub has died.")

    def close(self) -> None:
        """Nothing to do."""

    def _complete(self, request: Request) -> Result:
        answer = self._answer(request)
        if isinstance(answer, Failure):
            return Result(request.key, "", None, None, "error", failure=answer)
        ids = self._tokenizer.encode(answer)
        reason: FinishReason = "stop"
        if len(ids) > request.decoding.max_tokens:
            ids, reason = ids[: request.decoding.max_tokens], "length"
        text = self._tokenizer.decode(ids)
        usage = Usage(20, len(ids), 16)
        if not self._with_ids:
            return Result(request.key, text, None, None, reason, usage=usage)
        return Result(request.key, text, ids, [-0.5] * len(ids), reason, usage=usage)


def make_pipeline(**sections: Any) -> Pipeline:
    """A pipeline over demo questions whose policy is never loaded; `sections` are merged in."""
    tree: dict[str, Any] = {
        "prompts": {"source": "demo", "count": 7, "seed": 1, "shard_size": 3},
        "policy": {"engine": "transformers", "model": str(POLICY)},
        "sample": {"num_samples": 4, "max_tokens": 64},
    }
    for name, values in sections.items():
        tree[name] = {**tree.get(name, {}), **values}
    return Pipeline.model_validate(tree)
