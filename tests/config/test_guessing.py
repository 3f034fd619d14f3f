"""One function guesses what a misspelt name meant; everybody asks it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from dfgen.config.load import check_pipeline
from dfgen.errors import ConfigError, count_changes, guess_name

PACKAGE = Path(__file__).parents[2] / "dfgen"
CASES = [
    ("samle", ["run", "sample", "repair"], "sample"),
    ("sample", ["run", "sample"], "sample"),
    ("Sample", ["run", "sample"], "sample"),
    ("vlm", ["transformers", "vllm", "openai"], "vllm"),
    ("anwser", ["question", "answer"], "answer"),
    ("zzz", ["run", "sample"], None),
    ("", ["run", "sample"], None),
    ("run", [], None),
    ("img", ["image", "answer"], "image"),
    ("completion", ["solution", "question", "answer"], None),
    ("pic", ["picture"], None),
    ("temprature", ["temperature", "top_p"], "temperature"),
    ("qestoin", ["question", "answer"], "question"),
    ("\u00e9t\u00e9", ["ete", "\u00e9te"], "\u00e9te"),
]


@pytest.mark.parametrize(("wrong", "known", "meant"), CASES)
def test_guess(wrong: str, known: list[str], meant: str | None) -> None:
    assert guess_name(wrong, known) == meant
    assert guess_name(wrong, dict.fromkeys(known)) == meant


@given(first=st.text(max_size=8), second=st.text(max_size=8))
def test_changes_are_those_of_a_library(first: str, second: str) -> None:
    assert count_changes(first, second) == OSA.distance(first, second)


def test_engines_and_choices_are_guessed() -> None:
    prompts = {"source": "jsonl", "path": "x"}
    with pytest.raises(ConfigError, match=r"policy\.engine cannot be 'vlm'; did you mean 'vllm'"):
        check_pipeline({"prompts": prompts, "policy": {"engine": "vlm", "model": "m"}}, "x")
    policy = {"engine": "vllm", "model": "m"}
    with pytest.raises(
        ConfigError, match=r"prompts\.source cannot be 'json'; did you mean 'jsonl'"
    ):
        check_pipeline({"prompts": {**prompts, "source": "json"}, "policy": policy}, "x")


def test_nobody_guesses_for_himself() -> None:
    users = [path for path in PACKAGE.rglob("*.py") if "get_close_matches" in path.read_text()]
    assert not users
