"""A remote policy: the OpenAI engine against the real `vllm serve`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm", reason="needs the environment of `make vllm-test`")

from tests.vllm.asking import ask, collect, list_scenes
from tests.vllm.conftest import POLICY
from tests.vllm.running import read_trajectories, run_dfgen, write_pipeline
from tests.vllm.serving import serve


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    options = ("--max-model-len", "256", "--kv-cache-memory-bytes", "64M")
    with serve(POLICY, "policy", tmp_path_factory.mktemp("serve"), *options) as served:
        yield served.url


def make_policy(url: str, **settings: Any) -> dict[str, Any]:
    return {
        "engine": "openai",
        "model": "policy",
        "base_url": url,
        "tokenizer": str(POLICY),
        "concurrency": 8,
        **settings,
    }


def test_greedy_ids_and_logprobs_are_those_of_the_engine_in_process(url: str, engine: Any) -> None:
    from dfgen.config.engine import OpenAIConfig
    from dfgen.engines.loading import load_engine

    remote = load_engine(OpenAIConfig(**make_policy(url)))
    requests = [ask(i, scene, temperature=0.0) for i, scene in enumerate(list_scenes(8))]
    ours, theirs = collect(remote, requests), collect(engine, requests)
    for key, result in ours.items():
        assert result.failure is None
        assert result.token_ids == theirs[key].token_ids
        assert result.logprobs == pytest.approx(theirs[key].logprobs, abs=1e-4)
        assert result.finish_reason == theirs[key].finish_reason
        assert result.usage.prompt_tokens == theirs[key].usage.prompt_tokens


def test_sampling_from_a_server(url: str, tmp_path: Path) -> None:
    pipeline = write_pipeline(tmp_path / "remote.yaml", prompts={"count": 6})
    run = tmp_path / "run"
    write_remote(pipeline, make_policy(url))
    run_dfgen("sample", pipeline, "--out", run)
    run_dfgen("validate", run)
    rows = read_trajectories(run).values()
    assert len(rows) == 24
    for row in rows:
        assert row["ids_source"] == "sampled"
        assert len(row["logprobs"]) == len(row["completion_ids"])
        assert row["finish_reason"] == "length" or row["completion_ids"][-1] == 1


def test_text_alone_is_refused_or_marked(url: str, tmp_path: Path) -> None:
    pipeline = tmp_path / "remote.yaml"
    write_pipeline(pipeline, prompts={"count": 3}, sample={"num_samples": 2})
    # A server that knows no token ids: `null` takes the question for them out of the request.
    silent = {"extra_body": {"return_token_ids": None, "logprobs": None}}
    write_remote(pipeline, make_policy(url, **silent))
    _, err = run_dfgen("sample", pipeline, "--out", tmp_path / "refused", code=1)
    assert "retokenize: true" in err
    write_remote(pipeline, make_policy(url, retokenize=True, **silent))
    run_dfgen("sample", pipeline, "--out", tmp_path / "marked")
    rows = read_trajectories(tmp_path / "marked").values()
    assert len(rows) == 6
    for row in rows:
        assert row["ids_source"] == "encoded" and row["logprobs"] is None


def write_remote(pipeline: Path, policy: dict[str, Any]) -> None:
    """Replace a pipeline's policy, whose sections are of another engine."""
    import yaml

    tree = yaml.safe_load(pipeline.read_text("utf-8"))
    tree["policy"] = policy
    pipeline.write_text(yaml.safe_dump(tree), "utf-8")
