"""Calls vLLM: the one module that does, so that another version of vLLM is met in one place.

It uses vLLM's synchronous engine (`LLMEngine`: add a request, step, take what has finished), which
`LLM.generate` itself is built on; `LLM.generate` returns when the last request of a batch is done,
and by then most of the machine has been idle for a while. Read and run with 0.32, read with 0.30,
0.31 and 0.33; `check_api` looks for every name used here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import vllm
from vllm.exceptions import VLLMClientError
from vllm.platforms import current_platform
from vllm.usage.usage_lib import UsageContext

from dfgen.engines.base import Failure, Request, ScoreRequest
from dfgen.engines.vllm.lora import Adapter
from dfgen.engines.vllm.prompts import VllmPrompt
from dfgen.engines.vllm.watch import DeathWatch
from dfgen.errors import EngineError

SUPPORTED = ">=0.30,<0.34"
_PLAIN_CACHES = (
    "MultiModalProcessorOnlyCache",
    "MultiModalProcessorSenderCache",
    "LruKeyReplicatedSenderCache",
)
_TOO_LONG = ("maximum context length", "maximum model length")
RESUME = "Everything finished is on disk; the same command goes on from there."


def list_arguments() -> set[str]:
    """Return the names of all arguments of this vLLM's engine."""
    return {field.name for field in dataclasses.fields(vllm.EngineArgs)}


def runs_on_cpu() -> bool:
    """Tell whether this vLLM is one that computes on a CPU."""
    return bool(current_platform.is_cpu())


class RefusedPromptError(Exception):
    """vLLM does not take one prompt."""


class LostImagesError(Exception):
    """vLLM's caches of pictures have run apart; the prompt has to be rendered again."""


class Binding:
    """A running vLLM engine.

    Args:
        arguments: of `EngineArgs`.
        adapter: LoRA adapter that every request uses.

    Raises:
        EngineError: vLLM cannot start with these arguments, or has another API.
    """

    def __init__(self, arguments: dict[str, Any], adapter: Adapter | None) -> None:
        self.version = str(vllm.__version__)
        try:
            # As `LLM` does. Without a usage context vLLM takes the smallest of its defaults for
            # tokens and completions per step, an eighth of LLM's on a large GPU.
            self.engine: Any = vllm.LLMEngine.from_engine_args(
                vllm.EngineArgs(**arguments), usage_context=UsageContext.LLM_CLASS
            )
        except Exception as error:
            # From a wrong dtype to a failing worker process, vLLM raises what it likes.
            raise EngineError(
                f"vLLM {self.version} cannot start {arguments.get('model')!r}: {_explain(error)}",
                hint=_advise(str(error)),
            ) from error
        check_api(self.engine)
        self._watch = DeathWatch(self.engine.engine_core)
        self.config: Any = self.engine.vllm_config
        self._lora = self._load_adapter(adapter) if adapter is not None else None

    @property
    def max_model_len(self) -> int:
        """Prompt plus completion in tokens."""
        return int(self.config.model_config.max_model_len)

    @property
    def max_num_seqs(self) -> int:
        """Completions computed at once."""
        return int(self.config.scheduler_config.max_num_seqs)

    @property
    def repeats_images(self) -> bool:
        """Whether a rendered prompt may be added again right after itself."""
        cache = getattr(self.engine.renderer, "mm_processor_cache", None)
        return cache is None or type(cache).__name__ in _PLAIN_CACHES

    def render(self, prompt: VllmPrompt) -> Any:
        """Tokenize a prompt and process its pictures.

        Returns:
            vLLM's engine input: `prompt_token_ids` with the pictures' tokens expanded,
            `mm_placeholders` with their places, and what `add` needs.

        Raises:
            Exception: the processor or vLLM refuses this prompt; what it raises is the model's
                own affair. The caller has to `forget_images` then, and also if it does not `add`
                what came back, because vLLM's front believes that the engine has the pictures.
        """
        from vllm.renderers.inputs.preprocess import parse_model_prompt

        renderer = self.engine.renderer
        options = renderer.default_cmpl_tok_params.with_kwargs(
            add_special_tokens=prompt.add_special_tokens
        )
        parsed = parse_model_prompt(self.config.model_config, prompt.to_dict())
        (rendered,) = renderer.render_cmpl([parsed], options)
        return rendered

    def add(self, name: str, rendered: Any, sampling: Any) -> None:
        """Hand a rendered prompt to the engine.

        Raises:
            RefusedPromptError: vLLM does not take this prompt; the engine is well.
            LostImagesError: vLLM's engine lacks a picture that its front believes it has.
            Exception: the engine has failed.
        """
        try:
            self.engine.add_request(name, rendered, sampling, lora_request=self._lora)
        except (VLLMClientError, ValueError) as error:
            raise RefusedPromptError(str(error)) from error
        except RuntimeError as error:
            # The class moved between modules from 0.30 to 0.31, so it is known by name.
            if type(error).__name__ != "MultiModalCacheMissError":
                raise
            self.abort([name])
            raise LostImagesError(str(error)) from error

    def step(self) -> list[Any]:
        """Compute one step; returns the `RequestOutput`s that finished, often none."""
        return [output for output in self.engine.step() if output.finished]

    def abort(self, names: Sequence[str]) -> None:
        """Drop requests."""
        self.engine.abort_request(list(names))

    def forget_images(self, uuids: Collection[str]) -> None:
        """Make vLLM's front send these pictures again with the next request that holds them."""
        cache = getattr(self.engine.renderer, "mm_processor_cache", None)
        if cache is not None:
            for uuid in uuids:
                cache.invalidate(uuid)

    def ask_workers(self, method: str) -> list[Any] | None:
        """Call a method without arguments in each worker; None if they have none such."""
        try:
            answers: list[Any] = self.engine.collective_rpc(method)
        except Exception:
            # A worker's error arrives as a bare Exception with its text, whatever it was there.
            # What is asked here is for the manifest only, which then says null.
            return None
        return answers

    def close(self) -> None:
        """End the engine and its processes."""
        self._watch.end()
        self.engine.engine_core.shutdown()

    def _load_adapter(self, adapter: Adapter) -> Any:
        from vllm.lora.request import LoRARequest

        request = LoRARequest("adapter", 1, str(adapter.directory))
        try:
            self.engine.add_lora(request)
        except Exception as error:
            self.close()
            raise EngineError(
                f"the LoRA adapter does not fit the model: {_explain(error)}",
                where=str(adapter.directory),
                hint=f"It was trained on {adapter.base or 'a model that it does not name'}.",
            ) from error
        return request


def check_api(engine: Any) -> None:
    """Refuse a vLLM whose engine lacks what this module calls.

    Raises:
        EngineError: names what is missing and the versions that have it.
    """
    needed = {
        "LLMEngine": (engine, ("add_request", "step", "abort_request", "add_lora", "renderer")),
        "renderer": (
            getattr(engine, "renderer", None),
            ("render_cmpl", "default_cmpl_tok_params"),
        ),
        "engine_core": (getattr(engine, "engine_core", None), ("shutdown",)),
    }
    missing = [
        f"{owner}.{name}"
        for owner, (value, names) in needed.items()
        for name in names
        if not hasattr(value, name)
    ]
    if missing:
        raise EngineError(
            f"vLLM {vllm.__version__} has another API than dfgen knows: no {', '.join(missing)}.",
            hint=f"Install vllm{SUPPORTED}.",
        )


def make_sampling_params(request: Request) -> Any:
    """Say in vLLM's terms how one completion is drawn.

    Every field that shapes the draw is set here, and vLLM fills none of them from the model's
    generation_config.json but the ids that end a completion.

    Raises:
        EngineError: vLLM does not take these settings (a temperature over 2).
    """
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    decoding, schema = request.decoding, request.response_schema
    try:
        return vllm.SamplingParams(
            n=1,
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            top_k=decoding.top_k,
            min_p=0.0,
            repetition_penalty=1.0,
            presence_penalty=0.0,
            frequency_penalty=0.0,
            max_tokens=decoding.max_tokens,
            stop=list(decoding.stop) or None,
            seed=request.seed,
            # vLLM writes the text anew at every token, and the token of every logprob; without
            # stop strings to look for, decoding once at the end is a fifth of the time less.
            detokenize=bool(decoding.stop),
            # 0: the sampled token's own, and no others.
            logprobs=0 if request.with_logprobs else None,
            structured_outputs=None if schema is None else StructuredOutputsParams(json=schema),
            output_kind=RequestOutputKind.FINAL_ONLY,
            # vLLM would copy deeply what is made for one request alone.
            skip_clone=True,
        )
    except (VLLMClientError, ValueError) as error:
        raise EngineError(f"vLLM does not take these sampling settings: {error}") from error


def make_scoring_params(request: ScoreRequest) -> Any:
    """Say in vLLM's terms how a completion is scored whose last id is still to be drawn.

    vLLM computes a prompt anew whose logprobs are asked for: it takes nothing from its cache of
    prefixes, which holds no logits.
    """
    from vllm.sampling_params import RequestOutputKind

    return vllm.SamplingParams(
        n=1,
        # Greedy: no generator, whose state would have to be kept.
        temperature=0.0,
        max_tokens=1,
        # 0: the token's own, and no others.
        prompt_logprobs=0 if len(request.completion_ids) > 1 else None,
        logprobs=0,
        allowed_token_ids=[request.completion_ids[-1]],
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
        skip_clone=True,
    )


def judge_refusal(error: Exception) -> Failure:
    """Say why vLLM or the model's processor refused one prompt."""
    text = _explain(error)
    lowered = text.lower()
    if any(mark in lowered for mark in _TOO_LONG):
        return Failure("prompt_too_long", text)
    return Failure("prompt_invalid", f"vLLM refused the prompt: {text}")


def explain_death(error: BaseException) -> EngineError:
    """Make the one error with which a run ends when the engine fails."""
    return EngineError(
        f"the vLLM engine has stopped working: {_explain(error)}",
        hint=f"{_advise(str(error))} {RESUME}".strip(),
    )


def _explain(error: BaseException) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _advise(text: str) -> str:
    lowered = text.lower()
    if "memory" in lowered:
        return (
            "Lower gpu_memory_utilization, max_model_len or max_num_seqs; on a CPU set "
            "kv_cache_memory_bytes."
        )
    if "compiler" in lowered or "inductor" in lowered:
        return "It compiles with a C++ compiler; TORCHDYNAMO_DISABLE=1 does without one."
    return "vLLM's own messages above say more; VLLM_LOGGING_LEVEL=INFO shows all of them."
