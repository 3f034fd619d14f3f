"""The parts of the vLLM engine that need no vLLM; the engine itself: tests/vllm."""

from __future__ import annotations

import importlib
import json
import queue
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dfgen.config.vllm import VllmConfig
from dfgen.engines.base import ScoreRequest, ScoreResult, Usage
from dfgen.engines.loading import load_engine
from dfgen.engines.vllm.answers import find_stray_token, read_output, read_scores
from dfgen.engines.vllm.arguments import build_arguments
from dfgen.engines.vllm.environment import DEFAULTS, prepare_environment
from dfgen.engines.vllm.lora import Adapter, read_adapter
from dfgen.engines.vllm.rendering import PromptRenderer
from dfgen.engines.vllm.watch import DeathWatch
from dfgen.engines.vllm.worker_probe import METHOD
from dfgen.errors import ConfigError, EngineError, MissingExtraError
from tests.engines.making import make_request

KNOWN = {"block_size", "seed", "enable_prefix_caching", "max_num_seqs", "_private"}


def build(**settings: Any) -> dict[str, Any]:
    return build_arguments(VllmConfig(model="m", **settings), None, KNOWN, on_cpu=False)


def test_what_is_unset_is_left_to_vllm() -> None:
    assert build() == {
        "model": "m",
        "dtype": "auto",
        "tensor_parallel_size": 1,
        "enforce_eager": False,
        "trust_remote_code": False,
        "limit_mm_per_prompt": {"image": 8, "video": 0},
        "disable_log_stats": True,
    }


def test_further_arguments_pass_through_and_win() -> None:
    built = build(engine_args={"block_size": 32}, processor_args={"max_pixels": 9})
    assert built["block_size"] == 32
    assert built["mm_processor_kwargs"] == {"max_pixels": 9}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("block_siez", "Did you mean 'block_size'"),
        ("enable-prefix-caching", "Did you mean 'enable_prefix_caching'"),
        ("zzz", "vLLM has no engine argument 'zzz'"),
        ("max_num_seqs", "Set the section's 'max_num_seqs'"),
        ("mm_processor_kwargs", "Set the section's 'processor_args'"),
        ("enable_lora", "Set the section's 'lora'"),
        ("logprobs_mode", "cannot be set: logprobs are those of the model itself"),
    ],
)
def test_arguments_that_are_not_for_users(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build(engine_args={name: 1})
    assert caught.value.where == f"engine_args.{name}"


CHUNKING = KNOWN | {
    *("enable_chunked_prefill", "long_prefill_token_threshold", "max_num_partial_prefills"),
    "max_num_batched_tokens",
}


def build_for_cpu(**settings: Any) -> dict[str, Any]:
    return build_arguments(VllmConfig(model="m", **settings), None, CHUNKING, on_cpu=True)


def test_a_cpu_reads_prompts_whole() -> None:
    assert build_for_cpu()["enable_chunked_prefill"] is False
    assert "enable_chunked_prefill" not in build()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("enable_chunked_prefill", True),
        ("long_prefill_token_threshold", 16),
        ("max_num_partial_prefills", 2),
        ("max_num_batched_tokens", 255),
    ],
)
def test_a_cpu_cannot_be_told_to_read_prompts_in_parts(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match="chunked prefill is off") as caught:
        build_for_cpu(max_model_len=256, engine_args={name: value})
    assert caught.value.where == f"engine_args.{name}"
    elsewhere = VllmConfig(model="m", max_model_len=256, engine_args={name: value})
    assert build_arguments(elsewhere, None, CHUNKING, on_cpu=False)[name] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("enable_chunked_prefill", False),
        ("long_prefill_token_threshold", 0),
        ("max_num_partial_prefills", 1),
        ("max_num_batched_tokens", 256),
    ],
)
def test_a_cpu_takes_what_leaves_prompts_whole(name: str, value: Any) -> None:
    built = build_for_cpu(max_model_len=256, engine_args={name: value})
    assert built[name] == value and built["enable_chunked_prefill"] is False


def test_workers_are_asked_through_vllms_own_door() -> None:
    known = KNOWN | {"worker_extension_cls"}
    config = VllmConfig(model="m")
    name = build_arguments(config, None, known, on_cpu=False)["worker_extension_cls"]
    module, _, probe = name.rpartition(".")
    assert hasattr(getattr(importlib.import_module(module), probe), METHOD)
    users = VllmConfig(model="m", engine_args={"worker_extension_cls": "my.Extension"})
    assert (
        build_arguments(users, None, known, on_cpu=False)["worker_extension_cls"] == "my.Extension"
    )


class TestSharedRendering:
    """Against a real vLLM: tests/vllm/test_engine.py."""

    def render(self, *, repeats: bool, order: str) -> list[str]:
        """The contents that the prompts of these names get: `name` and the number of rendering."""
        counts: dict[str, int] = {}

        def render(prompt: str) -> Any:
            counts[prompt] = counts.get(prompt, 0) + 1
            return {"prompt_token_ids": [7, 7, 1], "content": f"{prompt}{counts[prompt]}"}

        binding = SimpleNamespace(
            render=render, repeats_images=repeats, forget_images=lambda uuids: None
        )
        renderer = PromptRenderer(cast("Any", binding), None)
        prompts = {name: cast("Any", name) for name in order}
        rendered = [renderer.render(prompts[name]) for name in order]
        assert {each.length for each in rendered} == {3}
        return [each.content["content"] for each in rendered]

    def test_from_the_third_sample_on(self) -> None:
        assert self.render(repeats=True, order="aaaabb") == ["a1", "a2", "a2", "a2", "b1", "b2"]

    def test_another_prompt_in_between_ends_it(self) -> None:
        assert self.render(repeats=True, order="aaabaaa") == [
            *("a1", "a2", "a2"),
            "b1",
            *("a3", "a4", "a4"),
        ]

    def test_not_where_the_places_of_pictures_are_counted(self) -> None:
        assert self.render(repeats=False, order="aaaa") == ["a1", "a2", "a3", "a4"]


def test_missing_vllm_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    # None makes the import fail as a missing package does, wherever the tests run.
    monkeypatch.setitem(sys.modules, "vllm", None)
    monkeypatch.setattr("dfgen.engines.loading.importlib.import_module", _fail_import, raising=True)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[vllm\]'"):
        load_engine(VllmConfig(model="m"))


def _fail_import(name: str) -> Any:
    raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_environment_is_set_once_and_the_users_values_win(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in DEFAULTS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "DEBUG")
    prepare_environment()
    import os

    assert os.environ["VLLM_LOGGING_LEVEL"] == "DEBUG"
    assert os.environ["VLLM_LOGGING_STREAM"] == "ext://sys.stderr"
    assert os.environ["VLLM_NO_USAGE_STATS"] == "1"


class TestAdapter:
    def write(self, path: Path, **settings: Any) -> Path:
        path.mkdir()
        (path / "adapter_config.json").write_text(json.dumps({"r": 12, **settings}))
        (path / "adapter_model.safetensors").write_bytes(b"weights")
        return path

    def test_is_read(self, tmp_path: Path) -> None:
        directory = self.write(tmp_path / "a", base_model_name_or_path="base")
        adapter = read_adapter(str(directory))
        assert (adapter.rank, adapter.max_rank, adapter.base) == (12, 16, "base")
        arguments = build_arguments(
            VllmConfig(model="m", lora=str(directory)), adapter, KNOWN, on_cpu=False
        )
        assert arguments["enable_lora"] is True and arguments["max_lora_rank"] == 16

    def test_identity_is_its_content(self, tmp_path: Path) -> None:
        first = read_adapter(str(self.write(tmp_path / "a")))
        second = read_adapter(str(self.write(tmp_path / "b")))
        other = read_adapter(str(self.write(tmp_path / "c", lora_alpha=2)))
        assert first.sha256 == second.sha256 != other.sha256

    @pytest.mark.parametrize("rank", [0, 513, "x", None])
    def test_ranks_that_vllm_does_not_take(self, tmp_path: Path, rank: Any) -> None:
        with pytest.raises(EngineError):
            read_adapter(str(self.write(tmp_path / "a", r=rank)))

    def test_no_adapter_there(self, tmp_path: Path) -> None:
        with pytest.raises(EngineError, match=r"needs adapter_config\.json"):
            read_adapter(str(tmp_path))

    @pytest.mark.parametrize(("rank", "largest"), [(1, 1), (2, 8), (64, 64), (65, 128)])
    def test_largest_rank(self, rank: int, largest: int) -> None:
        assert Adapter(Path(), rank, None, "").max_rank == largest


def number(logprob: float) -> Any:
    return SimpleNamespace(logprob=logprob)


class TestOutput:
    def make(self, finish: str | None = "stop", **fields: Any) -> Any:
        completion = SimpleNamespace(
            text="a",
            token_ids=(5, 1),
            logprobs=[{5: SimpleNamespace(logprob=-1.0)}, {1: SimpleNamespace(logprob=-0.5)}],
            finish_reason=finish,
            stop_reason=None,
        )
        completion.__dict__.update(fields)
        return SimpleNamespace(outputs=[completion], prompt_token_ids=[1, 2, 3])

    def test_is_read(self) -> None:
        result = read_output(make_request("k", "?"), self.make(), 2, str)
        assert result.token_ids == [5, 1] and result.logprobs == [-1.0, -0.5]
        assert (result.usage.prompt_tokens, result.usage.image_tokens) == (3, 2)

    def test_a_second_end_of_sequence_id_is_no_stop_string(self) -> None:
        result = read_output(make_request("k", "?"), self.make(stop_reason=151645), 0, str)
        assert result.finish_reason == "stop" and result.stop_reason is None

    @pytest.mark.parametrize("finish", ["abort", "repetition", None, "new"])
    def test_unknown_endings_are_rejects(self, finish: str | None) -> None:
        result = read_output(make_request("k", "?"), self.make(finish), 0, str)
        assert result.failure is not None and result.failure.reason == "engine_error"

    def score(self, *ids: int, **fields: Any) -> ScoreResult:
        """What is read of an answer about ids after a prompt of three tokens."""
        output = self.make(token_ids=ids[-1:], logprobs=[{ids[-1]: number(-0.25)}], **fields)
        drawn = [{token: number(-float(token))} for token in (2, 3, *ids[:-1])]
        output.prompt_logprobs = [None, *drawn] if len(ids) > 1 else None
        return read_scores(ScoreRequest("k", (), ids), output, 3, 2)

    def test_scores_are_those_of_the_last_tokens(self) -> None:
        result = self.score(7, 8, 9, finish="length")
        assert result.logprobs == [-7.0, -8.0, -0.25]
        assert result.usage == Usage(3, 3, 2)
        assert self.score(1).logprobs == [-0.25]

    @pytest.mark.parametrize("finish", ["abort", "repetition", None])
    def test_scores_of_an_unknown_ending_are_a_failure(self, finish: str | None) -> None:
        result = self.score(7, 8, finish=finish)
        assert result.failure is not None and result.failure.reason == "engine_error"
        assert result.logprobs is None

    def test_nan_ends_the_run(self) -> None:
        nan = [{5: SimpleNamespace(logprob=float("nan"))}, {1: SimpleNamespace(logprob=0.0)}]
        with pytest.raises(EngineError, match="NaN"):
            read_output(make_request("k", "?"), self.make(logprobs=nan), 0, str)


@pytest.mark.parametrize(
    ("ids", "ranges", "stray"),
    [([1, 9, 9, 2], [(1, 2)], None), ([9, 9, 2], [(0, 1)], 1), ([1, 9], [], 1), ([1], [], None)],
)
def test_stray_picture_tokens(
    ids: list[int], ranges: list[tuple[int, int]], stray: int | None
) -> None:
    places = [SimpleNamespace(offset=offset, length=length) for offset, length in ranges]
    rendered = {"prompt_token_ids": ids, "mm_placeholders": {"image": places}}
    assert find_stray_token(rendered, 9) == stray
    assert find_stray_token(rendered, None) is None


def test_the_watch_wakes_who_waits_for_a_dead_engine() -> None:
    core = SimpleNamespace(
        resources=SimpleNamespace(engine_dead=False), outputs_queue=queue.Queue[Any]()
    )
    watch = DeathWatch(core)
    core.resources.engine_dead = True
    assert isinstance(core.outputs_queue.get(timeout=300), RuntimeError)
    watch.end()
    DeathWatch(SimpleNamespace()).end()
