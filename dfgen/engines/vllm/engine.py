"""Generates and scores with vLLM: keeps its queue filled, hands out what is done at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Generic

from dfgen.config.vllm import VllmConfig
from dfgen.engines.base import EngineInfo, Failure, Request, Result, ScoreRequest, ScoreResult
from dfgen.engines.processor.loading import load_processor
from dfgen.engines.processor.token_ids import check_given_ids, describe_length
from dfgen.engines.vllm.answers import is_retryable
from dfgen.engines.vllm.arguments import build_arguments
from dfgen.engines.vllm.binding import (
    RESUME,
    Binding,
    LostImagesError,
    RefusedPromptError,
    explain_death,
    judge_refusal,
    list_arguments,
    runs_on_cpu,
)
from dfgen.engines.vllm.describing import describe_engine
from dfgen.engines.vllm.lora import check_fit, read_adapter
from dfgen.engines.vllm.prompts import VllmPrompt, VllmPromptReader
from dfgen.engines.vllm.rendering import PromptRenderer, Rendered
from dfgen.engines.vllm.tasks import Asked, Generate, Given, Score, Task
from dfgen.errors import EngineError

# How often a request is sent when vLLM's caches of pictures run apart.
_TRIES = 3


@dataclass(slots=True)
class Pending(Generic[Asked]):
    """A request in vLLM's hands.

    Attributes:
        rendered: set when it is handed over.
        tries: how often it was.
    """

    request: Asked
    prompt: VllmPrompt
    rendered: Rendered | None = None
    tries: int = 1


class VllmEngine:
    """Generates with vLLM in this process.

    Requests are pulled as places come free: about `in_flight` are with vLLM at any time, which
    computes `max_num_seqs` of them at once, so it never waits for a batch to end. Results come in
    the order in which they finish, those of one step together.

    A completion's ids include the end-of-sequence token that closed it, and the tokens that
    completed a stop string; the text is cut before the stop string. Equal seeds of equal requests
    draw equal noise, whatever runs beside them; the probabilities themselves may differ in their
    last digits with the batch they are computed in.

    An engine that has failed once is not used again: vLLM may hang then. With
    VLLM_ENABLE_V1_MULTIPROCESSING=0 in the environment vLLM runs in this very process and keeps
    global state there: closing one engine then ends all others, so there should be one at a time.

    Args:
        config: with `model` a directory or a Hub name.

    Raises:
        ConfigError: `engine_args` names something that vLLM does not know.
        EngineError: the model cannot be used.
    """

    def __init__(self, config: VllmConfig) -> None:
        adapter = None if config.lora is None else read_adapter(config.lora)
        arguments = build_arguments(config, adapter, list_arguments(), on_cpu=runs_on_cpu())
        self._model = load_processor(config)
        if adapter is not None and self._model.directory is not None:
            check_fit(adapter, self._model.directory)
        self._binding = Binding(arguments, adapter)
        self._info = describe_engine(config, self._model, self._binding, adapter)
        self._renderer = PromptRenderer(self._binding, self._model.image_token_id)
        max_images = config.limit_mm_per_prompt.get("image", 0)
        self._reader = VllmPromptReader(self._model, max_images)
        self._window = config.in_flight or 2 * self._binding.max_num_seqs
        self._numbers = count()
        self._dead = False

    @property
    def info(self) -> EngineInfo:
        """What made the results."""
        return self._info

    @property
    def binding(self) -> Binding:
        """The running vLLM, for measurements."""
        return self._binding

    def generate(self, requests: Iterable[Request]) -> Iterator[list[Result]]:
        """Yield what has finished after each step of vLLM.

        Raises:
            EngineError: vLLM has failed; or no prompt of this kind can be rendered.
        """
        return self._run(Generate(self._model), requests)

    def score(self, requests: Iterable[ScoreRequest]) -> Iterator[list[ScoreResult]]:
        """Yield what has been scored after each step of vLLM.

        vLLM computes the logits of a whole prompt for that, so it needs more memory than to
        generate: prompt and completion times the vocabulary, in float32, where prompts are not read
        in parts.

        Raises:
            EngineError: vLLM has failed; no prompt of this kind can be rendered; or more is asked
                for than vLLM tells of a prompt's tokens: the logprobs of the model itself.
        """
        return self._run(Score(), map(_refuse_more, requests))

    def close(self) -> None:
        """End vLLM and its processes."""
        self._dead = True
        self._binding.close()

    def _run(self, task: Task[Asked, Given], requests: Iterable[Asked]) -> Iterator[list[Given]]:
        self._check_alive()
        self._renderer.start_anew()
        source = iter(requests)
        pending: dict[str, Pending[Asked]] = {}
        more = True
        try:
            while more or pending:
                while more and len(pending) < self._window:
                    request = next(source, None)
                    if request is None:
                        more = False
                    elif (refused := self._submit(task, request, pending)) is not None:
                        yield [refused]
                finished = self._step(task, pending) if pending else []
                if finished:
                    yield finished
        finally:
            if pending and not self._dead:
                self._binding.abort(list(pending))

    def _submit(
        self, task: Task[Asked, Given], request: Asked, pending: dict[str, Pending[Asked]]
    ) -> Given | None:
        """Hand a request to vLLM; returns its result if that is a refusal."""
        refused = check_given_ids(self._model, request)
        if refused is not None:
            return task.fail(request, refused)
        prompt = self._reader.read(request)
        if isinstance(prompt, Failure):
            return task.fail(request, prompt)
        return self._add(task, Pending(request, prompt), pending)

    def _add(
        self,
        task: Task[Asked, Given],
        entry: Pending[Asked],
        pending: dict[str, Pending[Asked]],
    ) -> Given | None:
        request = entry.request
        rendered = failure = None
        try:
            rendered = self._renderer.render(entry.prompt)
            failure = self._check(rendered, task.count_needed(request), request)
        except Exception as error:
            # Tokenizer and processor are the model's own code; what they raise for one prompt is
            # that row's misfortune, as in the transformers engine.
            failure = judge_refusal(error)
        if rendered is None or failure is not None:
            assert failure is not None
            self._renderer.forget(entry.prompt)
            return task.fail(request, failure)
        entry.rendered = rendered
        params = task.make_params(request)
        name = str(next(self._numbers))
        try:
            self._binding.add(name, rendered.append(task.list_fed_ids(request)), params)
        except RefusedPromptError as error:
            self._renderer.forget(entry.prompt)
            return task.fail(request, judge_refusal(error))
        except LostImagesError as error:
            return self._add_again(task, entry, pending, error)
        except Exception as error:
            raise self._die(error) from error
        pending[name] = entry
        return None

    def _add_again(
        self,
        task: Task[Asked, Given],
        entry: Pending[Asked],
        pending: dict[str, Pending[Asked]],
        error: Exception | None = None,
    ) -> Given | None:
        entry.tries += 1
        if entry.tries > _TRIES:
            detail = f"vLLM lost its pictures {_TRIES} times: {error}"
            return task.fail(entry.request, Failure("engine_error", detail))
        self._renderer.forget(entry.prompt)
        return self._add(task, entry, pending)

    def _check(
        self, rendered: Rendered, needed: int, request: Request | ScoreRequest
    ) -> Failure | None:
        limit = self._binding.max_model_len
        if rendered.length + needed > limit:
            asked = describe_length(rendered.length, request)
            return Failure("prompt_too_long", f"{asked} are more than max_model_len, {limit}")
        if rendered.stray is not None:
            return Failure(
                "prompt_invalid",
                f"token {rendered.stray} of the prompt is that of a picture, but no picture is "
                "there: the text itself holds it",
            )
        return None

    def _step(self, task: Task[Asked, Given], pending: dict[str, Pending[Asked]]) -> list[Given]:
        try:
            outputs = self._binding.step()
        except Exception as error:
            raise self._die(error) from error
        results = []
        for output in outputs:
            entry = pending.pop(output.request_id, None)
            if entry is None:
                continue
            if is_retryable(output):
                refused = self._add_again(task, entry, pending)
                if refused is not None:
                    results.append(refused)
            else:
                assert entry.rendered is not None
                results.append(task.read(entry.request, entry.rendered, output))
        return results

    def _die(self, error: Exception) -> EngineError:
        self._dead = True
        return explain_death(error)

    def _check_alive(self) -> None:
        if self._dead:
            raise EngineError("this vLLM engine has ended and cannot be used again.", hint=RESUME)


def _refuse_more(request: ScoreRequest) -> ScoreRequest:
    """Refuse what vLLM has no answer to: it gives a prompt's logprobs before temperature only."""
    if request.temperature is not None or request.contrast is not None:
        raise EngineError(
            "vLLM gives the logprobs of given tokens only under the model itself: neither at a "
            "temperature nor compared with other pictures.",
            where=f"request {request.key}",
            hint="Use `engine: transformers` with the same model.",
        )
    return request
