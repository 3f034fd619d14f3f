"""What users get wrong: one paragraph each, and no engine left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm", reason="needs the environment of `make vllm-test`")

from dfgen.engines.loading import load_engine
from dfgen.errors import ConfigError, EngineError
from tests.vllm.asking import ask, collect, list_scenes
from tests.vllm.conftest import make_config


def test_a_missing_model(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="there is no directory"):
        load_engine(make_config(tmp_path / "nowhere"))


def test_a_directory_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="not a model directory"):
        load_engine(make_config(tmp_path))


def test_an_unknown_engine_argument() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'block_size'"):
        load_engine(make_config(engine_args={"blok_size": 32}))


@pytest.mark.parametrize(
    "settings",
    [{"quantization": "no-such-method"}, {"engine_args": {"kv_cache_dtype": "float17"}}],
    ids=["quantisation", "dtype"],
)
def test_a_value_that_vllm_refuses(settings: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match="cannot start"):
        load_engine(make_config(**settings))


def test_a_dtype_that_is_none() -> None:
    with pytest.raises(ValueError, match="dtype"):
        make_config(dtype="float17")


def test_a_length_beyond_the_models(engine: Any) -> None:
    with pytest.raises(EngineError, match="cannot start"):
        load_engine(make_config(max_model_len=100_000))


def test_a_temperature_that_vllm_does_not_take(engine: Any) -> None:
    with pytest.raises(EngineError, match="temperature must be in"):
        collect(engine, [ask("x", list_scenes(1)[0], temperature=3.0)])
    assert collect(engine, [ask("x", list_scenes(1)[0])])["x"].failure is None
