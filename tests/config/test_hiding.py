"""No secret of the settings is written or shown; everything else is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from dfgen.cli.main import cli
from dfgen.config.engine import OpenAIConfig
from dfgen.config.hiding import HIDDEN, hide_in_url, hide_secrets, names_secret
from dfgen.config.load import check_pipeline, load_pipeline
from dfgen.config.vllm import VllmConfig
from dfgen.engines.loading import load_engine
from dfgen.engines.openai.endpoint import Endpoint
from dfgen.errors import ConfigError
from dfgen.store.run import Run

SECRET = "s3cr3t-Value-99"


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "api-key",
        "apikey",
        "key",
        "token",
        "hf_token",
        "Authorization",
        "X-Api-Key",
        "password",
        "client_secret",
        "aws_secret_access_key",
        "access_token",
        "cookie",
        "sig",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "max_tokens",
        "stop_token",
        "eos_token",
        "tokenizer",
        "skip_special_tokens",
        "monkey",
        "stop_token_ids",
        "keywords",
        "author",
        "sort_key",
        "top_k",
        "return_tokens_as_token_ids",
    ],
)
def test_names_of_other_settings(name: str) -> None:
    assert not names_secret(name)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.org/v1?key=abc", "https://a.org/v1?key=***"),
        (
            "https://a.org/v1?api-version=1&api_key=abc",
            "https://a.org/v1?api-version=1&api_key=***",
        ),
        ("https://me:pw@a.org:8/v1", "https://a.org:8/v1"),
        ("https://token@a.org/v1", "https://a.org/v1"),
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        ("http://[::1]:8000/v1?a=b+c", "http://[::1]:8000/v1?a=b+c"),
        ("http://[broken/v1", "http://[broken/v1"),
    ],
)
def test_addresses(url: str, shown: str) -> None:
    assert hide_in_url(url) == shown


@given(st.dictionaries(st.sampled_from(["api_key", "x", "token", "n"]), st.text(min_size=1)))
def test_hiding_twice_is_hiding_once(values: dict[str, str]) -> None:
    once = hide_secrets({"deep": [values]})
    assert hide_secrets(once) == once
    assert all(each == HIDDEN for name, each in once["deep"][0].items() if names_secret(name))


def test_engines_use_a_secret_and_write_none() -> None:
    server = OpenAIConfig(
        model="m",
        base_url=[f"https://a.org/v1?key={SECRET}", f"https://me:{SECRET}@b.org"],
        extra_body={"headers": {"Authorization": f"Bearer {SECRET}"}, "top_k": 3, "key": SECRET},
    )
    assert SECRET not in server.model_dump_json()
    assert server.extra_body["key"] == SECRET
    assert server.model_dump(mode="json")["extra_body"]["top_k"] == 3
    local = VllmConfig(model="m", engine_args={"hf_token": SECRET, "block_size": 16})
    assert SECRET not in local.model_dump_json()
    assert local.model_dump(mode="json")["engine_args"]["block_size"] == 16


def test_no_secret_is_in_the_run_the_lock_or_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "p.yaml"
    engine = {"engine": "openai", "model": "m", "base_url": f"https://a.org/v1?key={SECRET}"}
    tree = {
        "prompts": {"source": "demo", "count": 2},
        "policy": {"engine": "transformers", "model": "demo:policy"},
        "repair": {"engine": engine},
    }
    file.write_text(json.dumps(tree))
    setting = f"repair.engine.extra_body.api_key={SECRET}"
    shown = CliRunner().invoke(cli, ["config", "show", str(file), "--set", setting])
    assert shown.exit_code == 0
    assert SECRET not in shown.output
    monkeypatch.setattr(
        sys, "argv", ["dfgen", "run", "p.yaml", "--set", setting, f"--set={setting}"]
    )
    run = Run.open_or_create(tmp_path / "run", load_pipeline(file, (setting,)))
    with run.lock():
        assert SECRET not in (tmp_path / "run" / "run.lock").read_text()
        assert "extra_body.api_key=" in (tmp_path / "run" / "run.lock").read_text()
        run.check_stage("prompts", load_pipeline(file, (setting,)), {})
        other = load_pipeline(file, (setting, "prompts.count=3"))
        assert SECRET not in " ".join(map(str, run.find_differences("prompts", other, {})))
    assert SECRET not in (tmp_path / "run" / "run.json").read_text()


def test_what_was_not_kept_has_to_be_given_again() -> None:
    given = OpenAIConfig(model="m", base_url="http://localhost:1/v1", extra_body={"key": SECRET})
    kept = OpenAIConfig.model_validate(given.model_dump(mode="json"))
    with pytest.raises(ConfigError, match=r"extra_body\.key is \*\*\*: secrets are not kept"):
        load_engine(kept)


def test_a_wrong_value_is_shown_without_the_secrets_in_it() -> None:
    tree = {"policy": {"engine": "openai", "model": "m", "timeout": {"api_key": SECRET}}}
    with pytest.raises(ConfigError) as caught:
        check_pipeline(tree, "x")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("key", ["a", "e", "it", "the"])
def test_a_very_short_key_eats_no_letters(key: str) -> None:
    said = "the server said: it cannot take a request"
    assert Endpoint("http://localhost", key).redact(said) == said


def test_keys_are_taken_out_of_what_a_server_says() -> None:
    endpoint = Endpoint("https://a.org/v1?api_key=qwertyuiop", "abcd")
    said = endpoint.redact("bad key abcd, not abcdef; url ?api_key=qwertyuiop")
    assert said == "bad key ***, not abcdef; url ?api_key=***"
