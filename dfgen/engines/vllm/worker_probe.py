"""Asks vLLM's worker processes what only they know; vLLM adds this class to its workers' own.

vLLM's `worker_extension_cls` is made for that: methods that `LLMEngine.collective_rpc` can call by
name, so nothing is pickled and no insecure serialisation has to be allowed. The import is cheap,
because every worker process does it.
"""

from __future__ import annotations

from typing import Any

QUALIFIED_NAME = f"{__name__}.WorkerProbe"
METHOD = "describe_for_dfgen"


class WorkerProbe:
    """Mixed into vLLM's worker class."""

    vllm_config: Any

    def describe_for_dfgen(self) -> dict[str, Any]:
        """Return what is in force in this worker; plain values, which travel between processes."""
        return {"attention": list_attention(self.vllm_config), **read_budget(self.vllm_config)}


def list_attention(settings: Any) -> list[str]:
    """Return the attention backends of a vLLM configuration whose model is loaded here, sorted."""
    layers = settings.compilation_config.static_forward_context.values()
    layers = [layer for layer in layers if hasattr(layer, "get_attn_backend")]
    return sorted({str(layer.get_attn_backend().get_name()) for layer in layers})


def read_budget(settings: Any) -> dict[str, Any]:
    """Return how much vLLM computes in one step: tokens, completions, and whether prompts are cut.

    vLLM fills unset values in by device and caller, and its engine may change them once more when
    it has seen the model.
    """
    scheduler = settings.scheduler_config
    return {
        "max_num_batched_tokens": int(scheduler.max_num_batched_tokens),
        "max_num_seqs": int(scheduler.max_num_seqs),
        "chunked_prefill": bool(scheduler.enable_chunked_prefill),
    }
