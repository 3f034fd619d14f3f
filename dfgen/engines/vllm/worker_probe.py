"""What only vLLM's worker processes know; vLLM adds this class to its worker's own.

vLLM's `worker_extension_cls` is made for that: methods that `LLMEngine.collective_rpc` can call by
name, so nothing is pickled and no insecure serialisation has to be allowed. The import is cheap,
because every worker process does it.
"""

from __future__ import annotations

from typing import Any

QUALIFIED_NAME = f"{__name__}.WorkerProbe"
METHOD = "list_dfgen_attention"


class WorkerProbe:
    """Mixed into vLLM's worker class."""

    vllm_config: Any

    def list_dfgen_attention(self) -> list[str]:
        """Names of the attention backends of this worker's layers, sorted."""
        return list_attention(self.vllm_config)


def list_attention(settings: Any) -> list[str]:
    """Names of the attention backends of a vLLM configuration whose model is loaded here."""
    layers = settings.compilation_config.static_forward_context.values()
    layers = [layer for layer in layers if hasattr(layer, "get_attn_backend")]
    return sorted({str(layer.get_attn_backend().get_name()) for layer in layers})
