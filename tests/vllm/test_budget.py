"""How much vLLM computes in one step: what `LLM` would, and never a part of a prompt on a CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm", reason="needs the environment of `make vllm-test`")

from dfgen.config.pipeline import Pipeline
from dfgen.engines.base import ScoreRequest
from dfgen.engines.vllm.binding import make_scoring_params
from dfgen.errors import ConfigError, EngineError
from dfgen.stages.stopping import StopSignal
from dfgen.stages.work import open_engine
from tests.vllm.asking import ask, collect, list_scenes
from tests.vllm.conftest import make_config
from tests.vllm.effective import list_effective

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
from tests.vllm.effective import main
if __name__ == "__main__":
    main()
"""
DIFFERENT = {
    # A CPU cannot rewind a seeded generator, so dfgen reads no prompt there in parts.
    "scheduler_config.enable_chunked_prefill",
    # Room for videos, which dfgen never sends, is not set aside.
    "multimodal_config.limit_per_prompt",
}
"""Settings in which dfgen differs from a bare call, on purpose."""


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


def test_the_engine_is_that_of_llm(wide_engine: Any, tmp_path: Path) -> None:
    """Scoring and valuing open it by the same call as sampling, and change nothing in it."""
    ours = list_effective(wide_engine.binding.config)
    theirs = ask_process(tmp_path, THEIRS, own_process=False)
    assert theirs["scheduler_config.max_num_batched_tokens"] == "4096"
    assert theirs["scheduler_config.max_num_seqs"] == "256"
    assert len(theirs) > 25 and ours.keys() == theirs.keys()
    assert {name for name in ours if ours[name] != theirs[name]} == DIFFERENT, (ours, theirs)


def test_what_stages_open_is_their_section_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Sampling, scoring and valuing with one section start the engine with equal arguments."""
    started: list[dict[str, Any]] = []

    def note(arguments: dict[str, Any], adapter: Any) -> None:
        started.append(arguments)
        raise EngineError("not today.")

    monkeypatch.setattr("dfgen.engines.vllm.engine.Binding", note)
    section = make_config(**SETTINGS).model_dump()
    tree = {
        "prompts": {"source": "demo", "count": 2},
        "policy": section,
        "sample": {"num_samples": 1},
        "score": {"enabled": True, "engine": section},
        "value": {"enabled": True, "engine": section},
    }
    pipeline = Pipeline.model_validate(tree)
    for engine in (pipeline.policy, pipeline.scorer, pipeline.continuer):
        with pytest.raises(EngineError), open_engine(engine, StopSignal()):
            pass
    assert len(started) == 3
    assert started[0] == started[1] == started[2]


def test_a_text_is_scored_with_what_a_bare_call_would_ask_for() -> None:
    """Its own logprobs and no others, one token drawn; the rest is as vLLM has it by itself."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    request = ScoreRequest("a", (), (5, 6, 7))
    bare = SamplingParams(
        temperature=0.0, max_tokens=1, prompt_logprobs=0, logprobs=0, allowed_token_ids=[7]
    )
    ours = make_scoring_params(request)
    other = {n for n in dir(bare) if not n.startswith("_") and not callable(getattr(bare, n))}
    differs = {name for name in other if getattr(ours, name) != getattr(bare, name)}
    assert differs == {"detokenize", "output_kind", "skip_clone"}
    assert ours.output_kind is RequestOutputKind.FINAL_ONLY


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
