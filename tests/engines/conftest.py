"""A real engine on a real, tiny model, shared by the engines' tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def tiny_llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a tiny LLaVA with random weights."""
    pytest.importorskip("torch", reason="models run in it: pip install '.[local]'")
    from tests.support.tiny_llava import write_tiny_llava

    return write_tiny_llava(tmp_path_factory.mktemp("models") / "llava")


@pytest.fixture(scope="session")
def engine(tiny_llava: Path) -> Any:
    """The transformers engine on the tiny LLaVA: float32, CPU, batches of 8."""
    from dfgen.config.engine import TransformersConfig
    from dfgen.engines.loading import load_engine

    return load_engine(
        TransformersConfig(
            model=str(tiny_llava), dtype="float32", device="cpu", batch_size=8, threads=1
        )
    )
