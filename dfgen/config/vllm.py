"""Defines the section of a vLLM engine."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_serializer

from dfgen.config.hiding import hide_secrets
from dfgen.config.section import Section


class VllmConfig(Section):
    """A model in this process through vLLM: continuous batching, prefix caching, several GPUs."""

    engine: Literal["vllm"] = "vllm"
    model: str
    """Directory, Hub id, or `demo:policy`."""
    revision: str | None = None
    """Revision of a Hub model."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Weights and arithmetic."""
    quantization: str | None = None
    """How the weights are quantised (`awq`, `gptq`, `fp8`, ...); unset: what the model says."""
    lora: str | None = None
    """Directory of a LoRA adapter that belongs to `model`."""
    tensor_parallel_size: int = Field(default=1, gt=0)
    """GPUs that hold one copy of the model between them."""
    gpu_memory_utilization: float | None = Field(default=None, gt=0, le=1)
    """Share of each GPU's memory that vLLM may take; unset: vLLM's default."""
    kv_cache_memory_bytes: int | None = Field(default=None, gt=0)
    """Memory for keys and values, in bytes, instead of what `gpu_memory_utilization` leaves. On a
    CPU it should be set, because vLLM otherwise asks for nearly all memory of the machine."""
    max_model_len: int | None = Field(default=None, gt=0)
    """Prompt plus completion, in tokens; unset: the model's own limit. A prompt is rejected if it
    and `max_tokens` together are more."""
    max_num_seqs: int | None = Field(default=None, gt=0)
    """Completions computed at once; unset: vLLM's default for the device."""
    in_flight: int | None = Field(default=None, gt=0)
    """Requests handed to vLLM and not finished; unset: twice `max_num_seqs`, so that there is
    always one waiting."""
    limit_mm_per_prompt: dict[str, int] = Field(default_factory=lambda: {"image": 8})
    """Pictures that one prompt may hold; a prompt with more is rejected. vLLM reserves memory for
    as many."""
    enforce_eager: bool = False
    """Start sooner and run slower: no CUDA graphs, no compilation."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model."""
    processor_args: dict[str, Any] = Field(default_factory=dict)
    """Passed to the processor (`min_pixels`, `max_pixels`, ...)."""
    engine_args: dict[str, Any] = Field(default_factory=dict)
    """Any further argument of vLLM's `EngineArgs`, by its Python name (`block_size: 16`). Counts as
    changing results. On a CPU none is taken by which vLLM would read a prompt in parts."""

    @field_serializer("processor_args", "engine_args", when_used="json")
    def _hide_secrets(self, value: Any) -> Any:
        return hide_secrets(value)
