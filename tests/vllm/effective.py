"""Reads what is in force in a vLLM engine, whoever has started it.

python -m tests.vllm.effective prints that of a bare `vllm.LLM` as JSON: the call that somebody
would write who has the settings of `make_config`.
"""

from __future__ import annotations

import json
from typing import Any

SETTINGS = {
    "model_config": (
        *("max_model_len", "dtype", "enforce_eager", "quantization", "max_logprobs", "seed"),
        *("logprobs_mode", "runner_type", "hf_overrides", "generation_config"),
    ),
    "scheduler_config": (
        *("max_num_batched_tokens", "max_num_seqs", "enable_chunked_prefill", "policy"),
        *("async_scheduling", "max_num_partial_prefills", "disable_chunked_mm_input"),
        *("max_num_encoder_input_tokens", "encoder_cache_size"),
    ),
    "cache_config": (
        *("enable_prefix_caching", "gpu_memory_utilization", "block_size", "cache_dtype"),
        *("kv_cache_memory_bytes", "prefix_caching_hash_algo", "num_gpu_blocks"),
    ),
    "parallel_config": ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size"),
    "multimodal_config": (
        *("limit_per_prompt", "mm_processor_cache_gb", "mm_processor_cache_type"),
        *("mm_processor_kwargs", "mm_encoder_tp_mode", "skip_mm_profiling"),
    ),
    "compilation_config": ("mode", "cudagraph_mode"),
}


def list_effective(config: Any) -> dict[str, str]:
    """List what a `VllmConfig` says after the engine has started, by section and name, as text."""
    found = {}
    for section, names in SETTINGS.items():
        holder = config.model_config if section == "multimodal_config" else config
        part = getattr(holder, section)
        for name in names:
            if hasattr(part, name):
                found[f"{section}.{name}"] = str(getattr(part, name))
    return found


def main() -> None:
    """Start a bare `LLM` and print what is in force in it."""
    from dfgen.engines.vllm.environment import prepare_environment

    prepare_environment()
    from vllm import LLM

    from tests.vllm.conftest import make_config

    config = make_config(max_num_seqs=None)
    names = ("model", "dtype", "enforce_eager", "max_model_len", "kv_cache_memory_bytes")
    given = {name: getattr(config, name) for name in names}
    llm = LLM(**given, limit_mm_per_prompt={"image": 2}, **config.engine_args)
    print("FOUND", json.dumps(list_effective(llm.llm_engine.vllm_config)))
    llm.llm_engine.engine_core.shutdown()


if __name__ == "__main__":
    main()
