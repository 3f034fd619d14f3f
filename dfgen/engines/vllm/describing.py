"""Describes a running vLLM engine for the manifest: versions, settings, hashes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import transformers

from dfgen.config.vllm import VllmConfig
from dfgen.engines.base import PREFIX_IDS, SCORE, EngineInfo
from dfgen.engines.processor.hashing import hash_parts
from dfgen.engines.processor.loading import ModelProcessor
from dfgen.engines.vllm.arguments import NO_CHUNKS
from dfgen.engines.vllm.binding import Binding, runs_on_cpu
from dfgen.engines.vllm.lora import Adapter
from dfgen.engines.vllm.worker_probe import METHOD, read_budget

_PROCESSOR_LIMITS = ("size", "min_pixels", "max_pixels", "max_image_size", "do_image_splitting")


def describe_engine(
    config: VllmConfig, processor: ModelProcessor, binding: Binding, adapter: Adapter | None
) -> EngineInfo:
    """Describe a running engine; the hashes mean the same as those of the transformers engine."""
    settings, model = binding.config, binding.config.model_config
    hashes = hash_parts(processor)
    workers = binding.ask_workers(METHOD) or []
    budget = find_budget(binding, workers)
    if adapter is not None:
        hashes["lora"] = adapter.sha256
    return EngineInfo(
        name="vllm",
        version=binding.version,
        model=config.model,
        revision=getattr(model.hf_config, "_commit_hash", None) or config.revision,
        dtype=str(model.dtype).removeprefix("torch."),
        tokenizer=config.model,
        hashes=hashes,
        settings={
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "architecture": list(model.architectures or []),
            "attention": find_attention(binding, workers),
            "quantization": model.quantization,
            "max_model_len": binding.max_model_len,
            **budget,
            "notes": [NO_CHUNKS] if runs_on_cpu() and not budget["chunked_prefill"] else [],
            "tensor_parallel_size": settings.parallel_config.tensor_parallel_size,
            "block_size": settings.cache_config.block_size,
            "prefix_caching": settings.cache_config.enable_prefix_caching,
            "enforce_eager": model.enforce_eager,
            # vLLM's batch-invariant kernels: without them the last digits depend on the batch.
            "batch_invariant": os.environ.get("VLLM_BATCH_INVARIANT", "0") == "1",
            "images_per_prompt": config.limit_mm_per_prompt.get("image", 0),
            "processor_limits": _list_processor_limits(processor.processor),
        },
        features=(PREFIX_IDS, SCORE),
    )


def find_attention(binding: Binding, workers: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the names of the attention backends that the workers use.

    The workers are asked, because vLLM chooses there. Where they do not answer (the user has put
    another `worker_extension_cls` in `engine_args`), what was asked for stands, or None: it is
    vLLM's choice and nobody here knows it.
    """
    if workers:
        names = {name for worker in workers for name in worker["attention"]}
        return ", ".join(sorted(names)) or None
    asked = getattr(getattr(binding.config, "attention_config", None), "backend", None)
    return None if asked is None else str(getattr(asked, "name", asked))


def find_budget(binding: Binding, workers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how much vLLM computes in one step, as `read_budget` does.

    The workers are asked, because their engine may have changed what was asked for.
    """
    known = read_budget(binding.config)
    return {name: workers[0][name] for name in known} if workers else known


def _list_processor_limits(processor: Any) -> dict[str, Any]:
    image_processor = getattr(processor, "image_processor", None)
    if image_processor is None:
        return {}
    values = image_processor.to_dict()
    return {name: values[name] for name in _PROCESSOR_LIMITS if values.get(name) is not None}
