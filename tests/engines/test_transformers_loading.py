"""What cannot be loaded, and how the message says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dfgen.config.engine import TransformersConfig
from dfgen.engines.loading import load_engine
from dfgen.errors import EngineError
from tests.engines.making import draw_image, make_request

torch = pytest.importorskip("torch", reason="models run in it: pip install '.[local]'")

from dfgen.engines.transformers.prompts import PreparedPrompt, PromptReader  # noqa: E402


@pytest.fixture
def model(tiny_llava: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model, to be damaged."""
    return Path(shutil.copytree(tiny_llava, tmp_path / "model"))


def load(model: Path | str, **settings: Any) -> Any:
    return load_engine(TransformersConfig(**{"model": str(model), "device": "cpu", **settings}))


def refuse(model: Path | str, **settings: Any) -> EngineError:
    """Load, expect an EngineError of one paragraph, return it."""
    with pytest.raises(EngineError) as caught:
        load(model, **settings)
    assert len(str(caught.value)) < 900
    assert "Traceback" not in str(caught.value)
    return caught.value


def remove(model: Path, *names: str) -> None:
    for name in names:
        (model / name).unlink(missing_ok=True)


def edit_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


@pytest.mark.parametrize(
    ("removed", "named"),
    [
        (("config.json",), "config.json"),
        (("model.safetensors",), "weights"),
        (TOKENIZER_FILES, "tokenizer"),
    ],
)
def test_a_directory_that_is_no_model_says_what_it_lacks(
    model: Path, removed: tuple[str, ...], named: str
) -> None:
    remove(model, *removed)
    error = refuse(model)
    assert "not a model directory" in error.what
    assert named in error.what
    assert error.where == str(model)


def test_an_empty_directory_lacks_everything(tmp_path: Path) -> None:
    error = refuse(tmp_path)
    assert all(word in error.what for word in ("config.json", "weights", "tokenizer"))


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    assert "there is no directory" in refuse(tmp_path / "nowhere").what
    assert "there is no directory" in refuse("./nowhere").what


def test_a_file_is_no_directory(model: Path) -> None:
    assert "is a file" in refuse(model / "config.json").what


def test_a_name_that_is_neither_here_nor_on_the_hub() -> None:
    error = refuse("nobody/no-such-model")
    assert "neither a directory here nor" in error.what


def test_a_text_model(model: Path) -> None:
    from transformers import Qwen2Config

    config = Qwen2Config(hidden_size=64, num_hidden_layers=1, num_attention_heads=2)
    config.save_pretrained(model)
    error = refuse(model)
    assert "cannot be loaded as a vision-language model" in error.what


def test_a_config_that_is_not_json(model: Path) -> None:
    (model / "config.json").write_text("{")
    assert "cannot be loaded" in refuse(model).what


def test_weights_of_another_model_are_not_filled_with_noise(model: Path) -> None:
    def add_layers(config: dict[str, Any]) -> None:
        config["text_config"]["num_hidden_layers"] = 5
        config["text_config"].pop("layer_types", None)

    edit_json(model / "config.json", add_layers)
    error = refuse(model)
    assert "tensors are missing" in error.what


def test_broken_weights(model: Path) -> None:
    (model / "model.safetensors").write_bytes(b"no weights")
    assert "cannot be loaded" in refuse(model).what


@pytest.mark.parametrize("device", ["gpu", "cuda:x", ""])
def test_an_unknown_device(model: Path, device: str) -> None:
    assert "there is no device" in refuse(model, device=device).what


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_cuda_where_there_is_none(model: Path) -> None:
    error = refuse(model, device="cuda")
    assert "CUDA is not available" in error.what
    assert error.hint is not None
    assert "device: cpu" in error.hint


def test_an_unknown_attention(model: Path) -> None:
    assert "cannot be loaded" in refuse(model, attention="made_up").what


def test_no_chat_template(model: Path) -> None:
    remove(model, "chat_template.jinja", "chat_template.json")
    engine = load(model)
    with pytest.raises(EngineError, match="without a chat template") as caught:
        list(engine.generate([make_request("a", "x")]))
    assert "sample.chat_template" in str(caught.value.hint)
    template = "{% for m in messages %}{{ m.content[0].text }}{% endfor %}"
    [[result]] = list(engine.generate([make_request("a", "x", chat_template=template)]))
    assert result.failure is None


@pytest.mark.parametrize("template", ["{% for %}", "{{ raise_exception('no system') }}"])
def test_a_chat_template_that_fails(engine: Any, template: str) -> None:
    with pytest.raises(EngineError, match="chat template cannot write this chat"):
        list(engine.generate([make_request("a", "x", chat_template=template)]))


def test_a_model_without_processor(model: Path) -> None:
    remove(model, "processor_config.json", "preprocessor_config.json")
    assert "comes without a processor" in refuse(model).what


def test_a_picture_for_a_processor_without_eyes(engine: Any) -> None:
    """Some architectures load with a tokenizer where the processor should be."""
    parts = engine._loaded.parts
    parts = replace(parts, name="blind", processor=parts.tokenizer, reads_images=False)
    loaded = replace(engine._loaded, parts=parts)
    reader = PromptReader(loaded, max_length=None)
    template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    prompt = reader.read(make_request("a", "x", "y", chat_template=template))
    assert isinstance(prompt, PreparedPrompt)
    assert prompt.text == "xy"
    with pytest.raises(EngineError, match="'blind' has no image processor"):
        reader.read(make_request("a", draw_image("red"), "x"))


def test_out_of_memory_suggests_a_smaller_batch(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflow(**_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(engine._loaded.model, "generate", overflow)
    with pytest.raises(EngineError, match="out of memory") as caught:
        list(engine.generate(make_request(index, "x") for index in range(8)))
    assert "batch_size: 4" in str(caught.value.hint)


def test_logits_that_are_not_numbers(model: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(model / "model.safetensors")
    name = next(name for name in weights if name.endswith("input_layernorm.weight"))
    weights[name] = torch.full_like(weights[name], float("nan"))
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EngineError, match="not numbers"):
        list(load(model).generate([make_request("a", "x")]))


def test_bfloat16(model: Path) -> None:
    engine = load(model, dtype="bfloat16")
    assert engine.info.dtype == "bfloat16"
    [[result]] = list(engine.generate([make_request("a", draw_image("red"), "x")]))
    assert result.failure is None


def test_other_weights_in_the_same_place_have_another_hash(model: Path) -> None:
    from dfgen.engines.processor.hashing import hash_weights

    before = hash_weights(model)
    content = bytearray((model / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (model / "model.safetensors").write_bytes(content)
    assert hash_weights(model) != before
