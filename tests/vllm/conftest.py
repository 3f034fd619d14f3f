"""The real vLLM on a CPU, in an environment of its own: `make vllm-test`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Before vLLM is imported. One process: half the memory, a third of the start.
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
# Without it every process compiles one operation with g++ for half a minute.
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")

POLICY = Path(__file__).parents[2] / "dfgen" / "demo" / "models" / "policy"
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs vLLM, whose own warnings (and torch's, below it) are not ours."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.vllm)
            item.add_marker(pytest.mark.filterwarnings("default"))


def make_config(model: Path = POLICY, **settings: Any) -> Any:
    """A section that starts in seconds on a small machine."""
    from dfgen.config.vllm import VllmConfig

    return VllmConfig(
        **{
            "model": str(model),
            "dtype": "float32",
            "enforce_eager": True,
            "max_model_len": 256,
            "max_num_seqs": 16,
            "kv_cache_memory_bytes": 64 << 20,
            "limit_mm_per_prompt": {"image": 2},
            # The smallest block that the CPU takes: only whole blocks of a prompt are reused.
            "engine_args": {"block_size": 32},
            **settings,
        }
    )


# Of a module: engines of one process share vLLM's global state, and closing one of them leaves the
# others without it.
@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    """The demo policy in vLLM."""
    pytest.importorskip("vllm", reason="needs the environment of `make vllm-test`")
    from dfgen.engines.loading import load_engine

    engine = load_engine(make_config())
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def flat_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A model with random weights: its distributions are nearly flat."""
    pytest.importorskip("vllm", reason="needs the environment of `make vllm-test`")
    from dfgen.demo.saving import rename_vision_weights
    from dfgen.engines.loading import load_engine
    from tests.support.tiny_llava import write_tiny_llava

    directory = write_tiny_llava(tmp_path_factory.mktemp("models") / "llava")
    rename_vision_weights(directory / "model.safetensors")
    engine = load_engine(make_config(directory))
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def reference() -> Any:
    """The same model in transformers."""
    from dfgen.config.engine import TransformersConfig
    from dfgen.engines.loading import load_engine

    return load_engine(
        TransformersConfig(model=str(POLICY), dtype="float32", device="cpu", batch_size=8)
    )
