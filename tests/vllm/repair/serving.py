"""The demo's repairer behind the real `vllm serve`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from tests.vllm.serving import Served, serve

REPAIRER = Path(__file__).parents[3] / "dfgen" / "demo" / "models" / "repairer"
#: The model's tokens are short words of its own small world, so that dfgen's own prompts take
#: more of them than the 512 it was trained with. Its positions are rotations: any length goes.
MAX_LENGTH = 2048


def serve_repairer(
    folder: Path, *options: str, api_key: str | None = None
) -> AbstractContextManager[Served]:
    """Start it on a free port; requests name it `repairer`."""
    positions = f'{{"text_config": {{"max_position_embeddings": {MAX_LENGTH}}}}}'
    return serve(
        *(REPAIRER, "repairer", folder),
        *("--max-model-len", str(MAX_LENGTH), "--hf-overrides", positions),
        *("--kv-cache-memory-bytes", "128M"),
        *options,
        api_key=api_key,
    )
