"""The transformers engine: any vision-language model that `AutoModelForImageTextToText` loads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import torch
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

from dfgen.config.engine import TransformersConfig
from dfgen.engines.base import EngineInfo, Failure, Request, Result, Usage
from dfgen.engines.transformers.collation import Collator
from dfgen.engines.transformers.describing import describe_engine
from dfgen.engines.transformers.loading import explained_memory, load_model
from dfgen.engines.transformers.prompts import PreparedPrompt, PromptReader
from dfgen.engines.transformers.sampling import SeededSampler
from dfgen.engines.transformers.stopping import RowStops, find_ending
from dfgen.errors import EngineError

Row = tuple[Request, PreparedPrompt]


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
        self._reader = PromptReader(self._loaded, config.model, config.max_length)
        self._collator = Collator(self._loaded)
        self._info = describe_engine(config, self._loaded)

    @property
    def info(self) -> EngineInfo:
        """What made the results."""
        return self._info

    def generate(self, requests: Iterable[Request]) -> Iterator[list[Result]]:
        """Yield one list of results per batch, in the order of its requests.

        Raises:
            EngineError: out of memory, no chat template, logits that are not numbers.
        """
        source = iter(requests)
        while batch := list(islice(source, self._config.batch_size)):
            yield self._generate_batch(batch)

    def close(self) -> None:
        """Nothing to do: the model's memory goes with the engine object."""

    def _generate_batch(self, batch: Sequence[Request]) -> list[Result]:
        self._reader.start_batch()
        results: dict[int, Result] = {}
        # Processors cannot take prompts with and without pictures at once.
        rows: dict[bool, list[tuple[int, Row]]] = {True: [], False: []}
        for index, request in enumerate(batch):
            prompt = self._reader.read(request)
            if isinstance(prompt, Failure):
                results[index] = Result(request.key, "", None, None, "error", failure=prompt)
            else:
                rows[bool(prompt.images)].append((index, (request, prompt)))
        smaller = max(1, len(batch) // 2)
        with explained_memory(f"Use a smaller batch, such as `batch_size: {smaller}`."):
            for part in rows.values():
                generated = self._generate_rows([row for _, row in part]) if part else []
                for (index, _), result in zip(part, generated, strict=True):
                    results[index] = result
        return [results[index] for index in range(len(batch))]

    def _generate_rows(self, rows: Sequence[Row]) -> list[Result]:
        model = self._loaded.model
        samplings = [request.sampling for request, _ in rows]
        sampler = SeededSampler(samplings, [request.seed for request, _ in rows], model.device)
        with torch.inference_mode():
            model.generate(
                **self._collator.join([prompt for _, prompt in rows]),
                generation_config=GenerationConfig(
                    max_new_tokens=max(sampling.max_tokens for sampling in samplings),
                    do_sample=False,
                ),
                logits_processor=LogitsProcessorList([sampler]),
                stopping_criteria=StoppingCriteriaList(
                    [RowStops(sampler, samplings, self._decode)]
                ),
            )
        ids, logprobs = sampler.collect()
        return [
            self._finish_row(request, prompt, row_ids, row_logprobs)
            for (request, prompt), row_ids, row_logprobs in zip(rows, ids, logprobs, strict=True)
        ]

    def _finish_row(
        self, request: Request, prompt: PreparedPrompt, ids: list[int], logprobs: list[float]
    ) -> Result:
        ending = find_ending(ids, request.sampling, self._loaded.eos_ids, self._decode)
        ids, logprobs = ids[: ending.length], logprobs[: ending.length]
        if any(math.isnan(logprob) for logprob in logprobs):
            raise EngineError(
                f"{self._config.model!r} computed logits that are not numbers (NaN).",
                where=f"request {request.key}",
                hint=f"Its dtype here is {self._info.dtype}; try bfloat16 or float32.",
            )
        return Result(
            key=request.key,
            text=ending.text,
            token_ids=ids,
            logprobs=logprobs if request.with_logprobs else None,
            finish_reason=ending.finish_reason,
            stop_reason=ending.stop_reason,
            usage=Usage(prompt.length, len(ids), prompt.image_tokens),
        )

    def _decode(self, ids: Sequence[int]) -> str:
        # Tidied-up spaces would break the byte offsets of tokens in the text.
        return str(
            self._loaded.tokenizer.decode(
                ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )
