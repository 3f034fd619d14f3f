"""Generates and scores in batches with any model that `AutoModelForImageTextToText` loads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TypeVar

import torch
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

from dfgen.config.engine import TransformersConfig
from dfgen.engines.base import (
    PREFIX_IDS,
    SCORE,
    EngineInfo,
    Failure,
    Request,
    Result,
    ScoreRequest,
    ScoreResult,
    Usage,
)
from dfgen.engines.processor.token_ids import decode_ids
from dfgen.engines.transformers.collation import Collator
from dfgen.engines.transformers.describing import describe_engine
from dfgen.engines.transformers.loading import explain_memory, load_model
from dfgen.engines.transformers.prompts import PreparedPrompt, PromptReader
from dfgen.engines.transformers.sampling import SeededSampler
from dfgen.engines.transformers.scoring import Logprobs, Scored, Scorer
from dfgen.engines.transformers.stopping import Decode, RowStops, find_ending
from dfgen.errors import EngineError

Asked = TypeVar("Asked", Request, ScoreRequest)
Given = TypeVar("Given", Result, ScoreResult)


class TransformersEngine:
    """Generates in batches, in the order of the requests.

    A batch is `batch_size` consecutive requests, nothing else: floats depend on who shares a batch
    (padding, kernels), so a run that is interrupted and goes on at a batch's border computes what
    an uninterrupted one does. Requests that cannot be generated keep their place.

    A completion's ids include the end-of-sequence token that closed it, and the tokens that
    completed a stop string; the text is cut before the stop string.

    Args:
        config: with `model` a directory or a Hub name.

    Raises:
        EngineError: the model cannot be used.
    """

    def __init__(self, config: TransformersConfig):
        self._config = config
        self._loaded = load_model(config)
        self._reader = PromptReader(self._loaded, config.max_length)
        self._collator = Collator(self._loaded)
        self._scorer = Scorer(self._loaded, self._collator)
        self._info = describe_engine(config, self._loaded)

    @property
    def info(self) -> EngineInfo:
        """What made the results."""
        return self._info

    def generate(self, requests: Iterable[Request]) -> Iterator[list[Result]]:
        """Yield one list of results per batch, in the order of its requests.

        Raises:
            EngineError: out of memory, no chat template, logits that are not numbers, a prefix for
                a model that cannot go on after one.
        """
        source = iter(requests)
        while batch := list(islice(source, self._config.batch_size)):
            for request in batch:
                if request.prefix_ids:
                    self._require_decoder(PREFIX_IDS)
            yield self._compute_batch(batch, self._generate_rows, _fail_request)

    def score(self, requests: Iterable[ScoreRequest]) -> Iterator[list[ScoreResult]]:
        """Yield one list of results per batch, in the order of its requests.

        Raises:
            EngineError: out of memory, no chat template, logits that are not numbers, or a model
                whose completions are not a continuation of its prompt (encoder and decoder).
        """
        self._require_decoder(SCORE)
        source = iter(requests)
        while batch := list(islice(source, self._config.batch_size)):
            yield self._compute_batch(batch, self._score_rows, _fail_score)

    def close(self) -> None:
        """Nothing to do: the model's memory goes with the engine object."""

    def _require_decoder(self, feature: str) -> None:
        if feature not in self._info.features:
            raise EngineError(
                f"{self._config.model!r} reads its prompt with an encoder, so {feature} is not "
                "possible with it.",
                hint="Use a model that is a decoder alone.",
            )

    def _compute_batch(
        self,
        batch: Sequence[Asked],
        compute: Callable[[Sequence[tuple[Asked, PreparedPrompt]]], list[Given]],
        fail: Callable[[Asked, Failure], Given],
    ) -> list[Given]:
        """Compute what can be computed of a batch; the rest are failures at their places."""
        self._reader.start_batch()
        results: dict[int, Given] = {}
        # Processors cannot take prompts with and without pictures at once.
        rows: dict[bool, list[tuple[int, tuple[Asked, PreparedPrompt]]]] = {True: [], False: []}
        for index, request in enumerate(batch):
            prompt = self._reader.read(request)
            if isinstance(prompt, Failure):
                results[index] = fail(request, prompt)
            else:
                rows[bool(prompt.images)].append((index, (request, prompt)))
        smaller = max(1, len(batch) // 2)
        with explain_memory(f"Use a smaller batch, such as `batch_size: {smaller}`."):
            for part in rows.values():
                computed = compute([row for _, row in part]) if part else []
                for (index, _), result in zip(part, computed, strict=True):
                    results[index] = result
        return [results[index] for index in range(len(batch))]

    def _generate_rows(self, rows: Sequence[tuple[Request, PreparedPrompt]]) -> list[Result]:
        model = self._loaded.model
        decodings = [request.decoding for request, _ in rows]
        prefixes = [request.prefix_ids for request, _ in rows]
        decoders = [partial(decode_ids, self._loaded.parts, prefix=prefix) for prefix in prefixes]
        sampler = SeededSampler(decodings, [request.seed for request, _ in rows], model.device)
        with torch.inference_mode():
            model.generate(
                **self._collator.join([prompt for _, prompt in rows], prefixes),
                generation_config=GenerationConfig(
                    max_new_tokens=max(decoding.max_tokens for decoding in decodings),
                    do_sample=False,
                ),
                logits_processor=LogitsProcessorList([sampler]),
                stopping_criteria=StoppingCriteriaList([RowStops(sampler, decodings, decoders)]),
            )
        ids, logprobs = sampler.collect()
        return [
            self._finish_row(request, prompt, row_ids, row_logprobs, decode)
            for (request, prompt), row_ids, row_logprobs, decode in zip(
                rows, ids, logprobs, decoders, strict=True
            )
        ]

    def _finish_row(
        self,
        request: Request,
        prompt: PreparedPrompt,
        ids: list[int],
        logprobs: list[float],
        decode: Decode,
    ) -> Result:
        ending = find_ending(ids, request.decoding, self._loaded.eos_ids, decode)
        ids, logprobs = ids[: ending.length], logprobs[: ending.length]
        self._check_numbers(request.key, logprobs)
        return Result(
            key=request.key,
            text=ending.text,
            token_ids=ids,
            logprobs=logprobs if request.with_logprobs else None,
            finish_reason=ending.finish_reason,
            stop_reason=ending.stop_reason,
            usage=Usage(prompt.length + len(request.prefix_ids), len(ids), prompt.image_tokens),
        )

    def _score_rows(self, rows: Sequence[tuple[ScoreRequest, PreparedPrompt]]) -> list[ScoreResult]:
        contrasts = [self._read_contrast(request, prompt) for request, prompt in rows]
        good = [
            Scored(prompt, request.completion_ids, request.temperature, contrast)
            for (request, prompt), contrast in zip(rows, contrasts, strict=True)
            if not isinstance(contrast, Failure)
        ]
        scored = iter(self._scorer.score(good))
        return [
            _fail_score(request, contrast)
            if isinstance(contrast, Failure)
            else self._finish_score(request, prompt, next(scored))
            for (request, prompt), contrast in zip(rows, contrasts, strict=True)
        ]

    def _read_contrast(
        self, request: ScoreRequest, prompt: PreparedPrompt
    ) -> PreparedPrompt | Failure | None:
        if request.contrast is None:
            return None
        other = self._reader.read(replace(request, messages=request.contrast))
        if isinstance(other, PreparedPrompt) and other.length != prompt.length:
            detail = (
                f"the prompt has {prompt.length} tokens, with the other pictures {other.length}"
            )
            return Failure("prompt_invalid", detail)
        return other

    def _finish_score(
        self, request: ScoreRequest, prompt: PreparedPrompt, found: Logprobs
    ) -> ScoreResult:
        for values in (found.raw, found.tempered, found.contrast_kl):
            self._check_numbers(request.key, values or ())
        return ScoreResult(
            request.key,
            found.raw,
            Usage(prompt.length, len(found.raw), prompt.image_tokens),
            tempered=found.tempered,
            contrast_kl=found.contrast_kl,
        )

    def _check_numbers(self, key: str, logprobs: Sequence[float]) -> None:
        if any(math.isnan(logprob) for logprob in logprobs):
            raise EngineError(
                f"{self._config.model!r} computed logits that are not numbers (NaN).",
                where=f"request {key}",
                hint=f"Its dtype here is {self._info.dtype}; try bfloat16 or float32.",
            )


def _fail_request(request: Request, failure: Failure) -> Result:
    return Result(request.key, "", None, None, "error", failure=failure)


def _fail_score(request: ScoreRequest, failure: Failure) -> ScoreResult:
    return ScoreResult(request.key, None, failure=failure)
