"""Reading a pipeline file: what wins, and what is said when it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.config.load import load_pipeline
from dfgen.errors import ConfigError

MINIMAL = "prompts: {source: demo}\npolicy: {engine: transformers, model: m}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "p.yaml"
    path.write_text(MINIMAL + "sample: {temperature: 0.5}\n")
    return path


def test_defaults_then_file(path: Path) -> None:
    pipeline = load_pipeline(path, environ={})
    assert pipeline.sample.temperature == 0.5
    assert pipeline.sample.num_samples == 8


def test_environment_beats_file_and_set_beats_environment(path: Path) -> None:
    environ = {"DFGEN_SET_SAMPLE__TEMPERATURE": "0.7", "DFGEN_SET_SEED": "3", "OTHER": "1"}
    assert load_pipeline(path, environ=environ).sample.temperature == 0.7
    assert load_pipeline(path, environ=environ).seed == 3
    pipeline = load_pipeline(path, ["sample.temperature=0.9"], environ)
    assert pipeline.sample.temperature == 0.9


def test_values_are_yaml(path: Path) -> None:
    pipeline = load_pipeline(path, ["sample.stop=[a, b]", "sample.system=null"], {})
    assert pipeline.sample.stop == ["a", "b"]
    assert pipeline.sample.system is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("sample.temperatur=1", "did you mean 'temperature'"),
        ("smaple.temperature=1", "did you mean 'sample'"),
        ("policy.concurrency=3", "policy.concurrency is not a field (this section has: engine"),
        ("sample.temperature=hot", "sample.temperature"),
        ("policy.model.name=x", "model is not a section"),
        ("sample.stop=[", "is not valid YAML"),
        ("=3", "is not of the form"),
        ("imports={tokenizer: t, path: x}", "imports stands instead of prompts and policy"),
    ],
)
def test_complaints(path: Path, setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_pipeline(path, [setting], {})
    assert message in str(error.value)


def test_the_file_is_named(path: Path) -> None:
    path.write_text(MINIMAL + "sample: {n: 1}\n")
    with pytest.raises(ConfigError, match=r"p\.yaml: sample\.n is not a field"):
        load_pipeline(path, environ={})


def test_missing_required_field(path: Path) -> None:
    path.write_text("prompts: {source: demo}\npolicy: {engine: transformers}\n")
    with pytest.raises(ConfigError, match=r"policy\.model is missing"):
        load_pipeline(path, environ={})


@pytest.mark.parametrize("text", ["- a\n", "just text", ""])
def test_not_a_mapping(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError, match="mapping"):
        load_pipeline(path, environ={})


def test_not_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_pipeline(path, environ={})
