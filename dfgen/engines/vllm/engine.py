"""The vLLM engine: its queue kept filled, every completion handed out as soon as it is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from dfgen.config.vllm import VllmConfig
from dfgen.engines.base import EngineInfo, Failure, Request, Result
from dfgen.engines.vllm.answers import (
    fail,
    is_retryable,
    read_output,
)
from dfgen.engines.vllm.arguments import build_arguments
from dfgen.engines.vllm.binding import (
    RESUME,
    Binding,
    LostImagesError,
    RefusedPromptError,
    explain_death,
    judge_refusal,
    list_arguments,
    to_sampling_params,
)
from dfgen.engines.vllm.describing import describe_engine
from dfgen.engines.vllm.lora import check_fit, read_adapter
from dfgen.engines.vllm.model import load_processor
from dfgen.engines.vllm.prompts import VllmPrompt, VllmPromptReader
from dfgen.engines.vllm.rendering import PromptRenderer, Rendered
from dfgen.errors import EngineError

# How often a request is sent when vLLM's caches of pictures run apart.
_TRIES = 3


@dataclass(slots=True)
class Waiting:
    """A request in vLLM's hands."""

    request: Request
    prompt: VllmPrompt
    image_tokens: int | None
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
        arguments = build_arguments(config, adapter, list_arguments())
        loaded = load_processor(config)
        if adapter is not None and loaded.directory is not None:
            check_fit(adapter, loaded.directory)
        self._binding = Binding(arguments, adapter)
        self._info = describe_engine(config, loaded, self._binding, adapter)
        self._tokenizer = loaded.tokenizer
        self._renderer = PromptRenderer(self._binding, loaded.image_token_id)
        max_images = config.limit_mm_per_prompt.get("image", 0)
        self._reader = VllmPromptReader(loaded, config.model, max_images)
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
        self._check_alive()
        self._renderer.start_anew()
        source = iter(requests)
        waiting: dict[str, Waiting] = {}
        more = True
        try:
            while more or waiting:
                while more and len(waiting) < self._window:
                    request = next(source, None)
                    if request is None:
                        more = False
                    elif (refused := self._submit(request, waiting)) is not None:
                        yield [refused]
                finished = self._step(waiting) if waiting else []
                if finished:
                    yield finished
        finally:
            if waiting and not self._dead:
                self._binding.abort(list(waiting))

    def close(self) -> None:
        """End vLLM and its processes."""
        self._dead = True
        self._binding.close()

    def _submit(self, request: Request, waiting: dict[str, Waiting]) -> Result | None:
        """Hand a request to vLLM; returns its result if that is a refusal."""
        prompt = self._reader.read(request)
        if isinstance(prompt, Failure):
            return fail(request, prompt)
        return self._add(Waiting(request, prompt, None), waiting)

    def _add(self, entry: Waiting, waiting: dict[str, Waiting]) -> Result | None:
        request = entry.request
        try:
            rendered = self._renderer.render(entry.prompt)
            failure = self._check(rendered, request)
        except Exception as error:
            # Tokenizer and processor are the model's own code; what they raise for one prompt is
            # that row's misfortune, as in the transformers engine.
            failure = judge_refusal(error)
        if failure is not None:
            self._renderer.forget(entry.prompt)
            return fail(request, failure)
        entry.image_tokens = rendered.image_tokens
        sampling = to_sampling_params(request)
        name = str(next(self._numbers))
        try:
            self._binding.add(name, rendered.content, sampling)
        except RefusedPromptError as error:
            self._renderer.forget(entry.prompt)
            return fail(request, judge_refusal(error))
        except LostImagesError as error:
            return self._add_again(entry, waiting, error)
        except Exception as error:
            raise self._die(error) from error
        waiting[name] = entry
        return None

    def _add_again(
        self, entry: Waiting, waiting: dict[str, Waiting], error: Exception | None = None
    ) -> Result | None:
        entry.tries += 1
        if entry.tries > _TRIES:
            detail = f"vLLM lost its pictures {_TRIES} times: {error}"
            return fail(entry.request, Failure("engine_error", detail))
        self._renderer.forget(entry.prompt)
        return self._add(entry, waiting)

    def _check(self, rendered: Rendered, request: Request) -> Failure | None:
        length, wanted = rendered.length, request.sampling.max_tokens
        limit = self._binding.max_model_len
        if length + wanted > limit:
            return Failure(
                "prompt_too_long",
                f"{length} prompt tokens and max_tokens {wanted} are more than max_model_len, "
                f"{limit}",
            )
        if rendered.stray is not None:
            return Failure(
                "prompt_invalid",
                f"token {rendered.stray} of the prompt is that of a picture, but no picture is "
                "there: the text itself holds it",
            )
        return None

    def _step(self, waiting: dict[str, Waiting]) -> list[Result]:
        try:
            outputs = self._binding.step()
        except Exception as error:
            raise self._die(error) from error
        results = []
        for output in outputs:
            entry = waiting.pop(output.request_id, None)
            if entry is None:
                continue
            if is_retryable(output):
                refused = self._add_again(entry, waiting)
                if refused is not None:
                    results.append(refused)
            else:
                results.append(read_output(entry.request, output, entry.image_tokens, self._decode))
        return results

    def _decode(self, ids: Sequence[int]) -> str:
        text = self._tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text)

    def _die(self, error: Exception) -> EngineError:
        self._dead = True
        return explain_death(error)

    def _check_alive(self) -> None:
        if self._dead:
            raise EngineError("this vLLM engine has ended and cannot be used again.", hint=RESUME)
