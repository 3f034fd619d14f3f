"""Turns the pipeline file's vLLM section into vLLM's own arguments, and checks their names."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from dfgen.config.vllm import VllmConfig
from dfgen.engines.vllm.lora import Adapter
from dfgen.engines.vllm.worker_probe import QUALIFIED_NAME
from dfgen.errors import ConfigError, guess_name

_SECTION_FIELDS = (
    "model",
    "revision",
    "dtype",
    "quantization",
    "tensor_parallel_size",
    "gpu_memory_utilization",
    "kv_cache_memory_bytes",
    "max_model_len",
    "max_num_seqs",
    "limit_mm_per_prompt",
    "enforce_eager",
    "trust_remote_code",
)
"""Fields that have the same name and meaning there."""

_OWN_FIELDS = {"mm_processor_kwargs": "processor_args", "enable_lora": "lora"}
"""Arguments that the section has under another name."""

_FIXED = {
    "skip_tokenizer_init": "texts and stop strings need the tokenizer",
    "logprobs_mode": "logprobs are those of the model itself (raw_logprobs)",
    "tokenizer": "ids must be those of the model's own tokenizer",
    "runner": "dfgen generates",
}
"""Arguments that would change what a result means, and why they are not for users."""

NO_CHUNKS = (
    "chunked prefill is off, because vLLM on a CPU fails when the prompt of a seeded request is "
    "read in parts"
)
"""vLLM rewinds a request's generator after a part of its prompt, and a CPU's cannot be rewound
("CPU Generator does not use offset")."""

_CHUNKING = {"long_prefill_token_threshold": 0, "max_num_partial_prefills": 1}
"""Arguments that cut prompts into parts, and the largest values at which they do not."""


def build_arguments(
    config: VllmConfig, adapter: Adapter | None, known: Collection[str], *, on_cpu: bool
) -> dict[str, Any]:
    """Return the keyword arguments of `EngineArgs`.

    Fields that are unset are left out, so that vLLM's own defaults hold.

    Args:
        config: the section.
        adapter: the LoRA adapter it names.
        known: names of all arguments of the installed vLLM.
        on_cpu: whether it computes on a CPU: prompts are never read in parts there.

    Raises:
        ConfigError: `engine_args` names an argument that this vLLM does not have, that is a field
            of the section, or that would change what results mean; or it would have a CPU read
            prompts in parts.
    """
    arguments: dict[str, Any] = {"disable_log_stats": True}
    if "worker_extension_cls" in known:
        arguments["worker_extension_cls"] = QUALIFIED_NAME
    for name in config.engine_args:
        _check_name(name, known)
    if on_cpu:
        _check_chunks(config)
        # The budget of a step is then at least `max_model_len` by itself.
        arguments["enable_chunked_prefill"] = False
    values = config.model_dump()
    arguments |= {name: values[name] for name in _SECTION_FIELDS if values[name] is not None}
    # Room for videos is reserved otherwise; dfgen sends none.
    arguments["limit_mm_per_prompt"] = {"video": 0, **config.limit_mm_per_prompt}
    if config.processor_args:
        arguments["mm_processor_kwargs"] = config.processor_args
    if adapter is not None:
        arguments |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": adapter.max_rank}
    return arguments | config.engine_args


def _check_chunks(config: VllmConfig) -> None:
    """Refuse what would have vLLM read a prompt in parts, although that is turned off."""
    given = config.engine_args

    def refuse(name: str, hint: str) -> ConfigError:
        return ConfigError(
            f"{name}: {given[name]!r} is not possible on a CPU: {NO_CHUNKS}.",
            where=f"engine_args.{name}",
            hint=hint,
        )

    if given.get("enable_chunked_prefill"):
        raise refuse("enable_chunked_prefill", "Leave it out.")
    for name, most in _CHUNKING.items():
        value = given.get(name)
        if value is not None and (not isinstance(value, int) or value > most):
            raise refuse(name, "Leave it out.")
    budget, longest = given.get("max_num_batched_tokens"), config.max_model_len
    if isinstance(budget, int) and longest is not None and budget < longest:
        raise refuse(
            "max_num_batched_tokens",
            f"Set it to max_model_len, {longest}, or more, or leave it out.",
        )


def _check_name(name: str, known: Collection[str]) -> None:
    where = f"engine_args.{name}"
    if name in _FIXED:
        raise ConfigError(f"{name} cannot be set: {_FIXED[name]}.", where=where)
    if name in _SECTION_FIELDS or name in _OWN_FIELDS:
        field = _OWN_FIELDS.get(name, name)
        raise ConfigError(
            f"{name} is not for engine_args.", where=where, hint=f"Set the section's {field!r}."
        )
    if name not in known:
        public = [each for each in known if not each.startswith("_")]
        meant = guess_name(name.replace("-", "_"), public)
        hint = f"Did you mean {meant!r}?" if meant else "See `vllm serve --help=all`."
        raise ConfigError(f"vLLM has no engine argument {name!r}.", where=where, hint=hint)
