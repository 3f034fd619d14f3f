"""Reading a pipeline file: what wins, and what is said when it is wrong."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dfgen.config.batch import BatchConfig
from dfgen.config.load import load_pipeline
from dfgen.errors import ConfigError
from tests.support.bounded import bounded_work

# Pieces of YAML that mean something, in any order.
TAGS = ["!!int", "!!set", "!!omap", "!!pairs", "!!binary", "!!timestamp", "!!float", "!!bool", "!x"]
PIECES = [*"a#'\"~[]{},\\", ": ", "- ", "? ", "\n", "  ", "&x ", "*x", "<<: ", "---", ">\n", "1:1"]
WORDS = [
    "2024-02-31",
    "0x",
    "prompts: ",
    "policy: ",
    "source",
    "path: ",
    *(f"{tag} " for tag in TAGS),
]
YAML = st.lists(st.sampled_from([*PIECES, *WORDS])).map("".join)

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


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfea\x00", r"p\.yaml: is text in UTF-16; save it as UTF-8"),
        (b"seed: 1\nname: \xe9\n", r"p\.yaml:2: is not text in UTF-8 \(byte 0xe9\)"),
        (b"seed: 1\nname: a\0b\n", r"p\.yaml:2: .*U\+0000 may not stand"),
        (b"seed: 1\nname: a\nseed: 2\n", r"p\.yaml:3: .*'seed' stands twice, first in line 1"),
        (b"sample:\n  n: 1\n  'n': 2\n", r"p\.yaml:3: .*'n' stands twice, first in line 2"),
        (BOMB.encode(), r"p\.yaml:\d: .*more than 200,000 values"),
        (b"a: &a [*a]\n", r"p\.yaml:1: .*contains itself"),
        (b"a: " + b"[" * 1000 + b"]" * 1000, r"p\.yaml:1: .*more than 64 lists and mappings"),
        (b"a:\n" + b"- " * 1000 + b"x\n", r"p\.yaml:2: .*more than 64 lists and mappings"),
        (b"seed: 1\nname: 2024-02-31\n", r"p\.yaml:2: .*'2024-02-31' cannot be read: day"),
        (b"seed: " + b"9" * 5000, r"p\.yaml:1: .*a number has 5,000 characters"),
        (b"seed: 1" + b":1" * 5000, r"p\.yaml:1: .*a number has 10,001 characters"),
        (b"seed: !!int abc\n", r"p\.yaml:1: .*'abc' cannot be read"),
        (b"seed: !!bool abc\n", r"p\.yaml:1: .*'abc' cannot be read"),
        (b"seed: !!timestamp abc\n", r"p\.yaml:1: .*'abc' cannot be read"),
        (b"seed: !!binary a\n", r"p\.yaml:1: "),
        (b"a: !!python/object/apply:os.system ['true']\n", r"p\.yaml:1: .*python/object"),
        (b"? [a]\n: 1\n", r"p\.yaml:1: .*unhashable"),
        (b"a: 1\n---\nb: 2\n", r"p\.yaml:2: .*another document"),
        (b"# " + b"x" * 1_000_000, r"p\.yaml: has more than 1,000,000 bytes"),
    ],
)
def test_hostile_files_are_one_error_that_names_the_line(
    path: Path, content: bytes, message: str
) -> None:
    path.write_bytes(content)
    with bounded_work(), pytest.raises(ConfigError, match=message) as caught:
        load_pipeline(path, environ={})
    assert len(str(caught.value)) < 500


def test_what_is_unusual_but_clear_is_read(path: Path) -> None:
    """A byte order mark, keys that a merge overrides, an alias that is used twice."""
    text = (
        "prompts: {source: demo}\npolicy: &p {engine: transformers, model: m}\n"
        "repair: {engine: {<<: *p, model: n}}\nscore: {engine: *p}\n"
    )
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    pipeline = load_pipeline(path, environ={})
    assert pipeline.policy and pipeline.policy.model == "m"
    assert pipeline.repair.engine and pipeline.repair.engine.model == "n"


@pytest.mark.parametrize("value", ["[" * 1000, "2024-02-31", "9" * 5000, "{a: 1, a: 2}", "&a [*a]"])
def test_hostile_values_are_one_error(path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match="--set seed") as caught:
        load_pipeline(path, [f"seed={value}"], {})
    assert len(str(caught.value)) < 500
    with pytest.raises(ConfigError, match="DFGEN_SET_SEED") as caught:
        load_pipeline(path, environ={"DFGEN_SET_SEED": value})
    assert len(str(caught.value)) < 500


@settings(max_examples=300)
@given(st.one_of(st.binary(), st.text().map(str.encode), YAML.map(str.encode)))
def test_any_file_is_read_or_is_one_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.yaml"
        path.write_bytes(content)
        with suppress(ConfigError):
            load_pipeline(path, environ={})


def test_a_pipe_that_nobody_writes_to_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigError, match="it is a pipe, not a file"):
        load_pipeline(tmp_path / "pipe.yaml")


def test_what_the_shell_pipes_in_is_read() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"prompst: {}")
    os.close(writer)
    try:
        with pytest.raises(ConfigError, match="prompst"):
            load_pipeline(Path(f"/dev/fd/{reader}"))
    finally:
        os.close(reader)


def test_pictures_by_id_are_refused_with_the_reason() -> None:
    with pytest.raises(ValidationError, match="forget them before a row can go out again"):
        BatchConfig.model_validate({"pictures": "by_id"})
