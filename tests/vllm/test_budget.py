"""How much vLLM computes in one step: what `LLM` would, and never a part of a prompt on a CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("vllm", reason="needs the environment of `make vllm-test`")

from dfgen.errors import ConfigError
from tests.vllm.asking import ask, collect, list_scenes
from tests.vllm.conftest import make_config

# Unset: what vLLM chooses is the subject.
SETTINGS: dict[str, Any] = {"max_num_seqs": None}

OURS = """
from dfgen.engines.loading import load_engine
from tests.vllm.conftest import make_config
if __name__ == "__main__":
    engine = load_engine(make_config(max_num_seqs=None))
    print("FOUND", json.dumps(engine.info.settings))
    engine.close()
"""
THEIRS = """
from dfgen.engines.vllm.environment import prepare_environment
prepare_environment()
from vllm import LLM
from tests.vllm.conftest import make_config
if __name__ == "__main__":
    config = make_config(max_num_seqs=None)
    names = ("model", "dtype", "enforce_eager", "max_model_len", "kv_cache_memory_bytes")
    given = {name: getattr(config, name) for name in names}
    llm = LLM(**given, limit_mm_per_prompt={"image": 2}, **config.engine_args)
    found = llm.llm_engine.vllm_config.scheduler_config
    names = ("max_num_batched_tokens", "max_num_seqs")
    print("FOUND", json.dumps({name: getattr(found, name) for name in names}))
    llm.llm_engine.engine_core.shutdown()
"""


@pytest.fixture(scope="module")
def wide_engine() -> Iterator[Any]:
    """The demo policy with as many completions at once as vLLM chooses."""
    from dfgen.engines.loading import load_engine

    engine = load_engine(make_config(**SETTINGS))
    yield engine
    engine.close()


def ask_process(tmp_path: Any, code: str, *, own_process: bool) -> dict[str, Any]:
    """What a script of its own process prints."""
    script = tmp_path / "script.py"
    script.write_text("import json\n" + code)
    environment = {**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": str(int(own_process))}
    process = subprocess.run(
        [sys.executable, str(script)],
        env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    lines = [line for line in process.stdout.splitlines() if line.startswith("FOUND ")]
    assert lines, process.stderr[-4000:]
    found: dict[str, Any] = json.loads(lines[0].removeprefix("FOUND "))
    return found


def test_the_budget_is_that_of_llm(wide_engine: Any, tmp_path: Any) -> None:
    ours = wide_engine.info.settings
    theirs = ask_process(tmp_path, THEIRS, own_process=False)
    assert {name: ours[name] for name in theirs} == theirs
    assert theirs == {"max_num_batched_tokens": 4096, "max_num_seqs": 256}


def test_the_budget_is_known_of_an_engine_in_its_own_process(
    wide_engine: Any, tmp_path: Any
) -> None:
    ours = wide_engine.info.settings
    assert ask_process(tmp_path, OURS, own_process=True) == ours
    assert ours["chunked_prefill"] is False
    assert "chunked prefill is off" in ours["notes"][0]


def test_more_seeded_prompts_than_a_step_can_read(wide_engine: Any) -> None:
    """A prompt that is read in parts kills vLLM on a CPU: its generator cannot be rewound."""
    requests = [
        ask(index, (question * 2, image), seed=index, max_tokens=8)
        for index, (question, image) in enumerate(list_scenes(256, seed=5))
    ]
    results = collect(wide_engine, requests)
    assert len(results) == 256
    assert all(result.failure is None for result in results.values())
    read = sum(result.usage.prompt_tokens for result in results.values())
    assert read > 2 * wide_engine.info.settings["max_num_batched_tokens"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("enable_chunked_prefill", True),
        ("max_num_batched_tokens", 128),
        ("long_prefill_token_threshold", 16),
    ],
)
def test_settings_that_would_read_prompts_in_parts(name: str, value: Any) -> None:
    from dfgen.engines.loading import load_engine

    with pytest.raises(ConfigError, match="chunked prefill is off"):
        load_engine(make_config(engine_args={name: value}))
