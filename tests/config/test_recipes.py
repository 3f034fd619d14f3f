"""Recipes are valid pipelines that say what to edit; `config show` marks what is not a default."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.config import recipes
from dfgen.config.load import load_pipeline
from dfgen.config.recipes import COPIES, RECIPES, propose_recipe, read_recipe
from dfgen.config.showing import write_marked

ROOT = Path(__file__).parents[2]


def call(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["config", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_valid_and_commented(name: str, tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    call("init", str(path), "--recipe", name)
    load_pipeline(path, environ={})
    text = path.read_text()
    assert "EDIT" in text and text.startswith("# ")
    assert "pipelines/" not in text.replace("schemas/pipeline", "")  # its commands name this file
    assert len(read_recipe(name).description) <= 100


def test_every_file_is_a_recipe_and_has_its_copy() -> None:
    folder = Path(recipes.__file__).parent
    assert {path.stem for path in folder.glob("*.yaml")} == set(RECIPES)
    for name, copy in COPIES.items():
        shown = (ROOT / "pipelines" / copy).read_text()
        assert shown == read_recipe(name).text, "run `make schemas`"


def test_a_gpu_with_vllm_proposes_vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "find_spec", lambda name: object())
    assert propose_recipe(tmp_path) == "starter"
    (tmp_path / "nvidia0").touch()
    assert propose_recipe(tmp_path) == "vllm-7b"
    monkeypatch.setattr(recipes, "find_spec", lambda name: None)
    assert propose_recipe(tmp_path) == "starter"


def test_recipes_are_listed() -> None:
    listed = call("init", "--list")
    assert [line.split()[0] for line in listed.splitlines()] == list(RECIPES)
    assert "(proposed here)" in listed


def test_a_misspelt_recipe_is_guessed(tmp_path: Path) -> None:
    path = str(tmp_path / "x.yaml")
    result = CliRunner().invoke(cli, ["config", "init", path, "--recipe", "ofline"])
    assert result.exit_code == 1 and "Did you mean 'offline'?" in result.output
    assert not Path(path).exists()


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").glob("*.yaml")), ids=lambda p: p.stem)
def test_what_is_shown_is_the_pipeline_with_marks(path: Path) -> None:
    pipeline = load_pipeline(path, environ={})
    lines = list(write_marked(pipeline))
    assert yaml.safe_load("\n".join(lines)) == pipeline.model_dump(mode="json")


def test_marks_say_the_default() -> None:
    changes = ("--set", "sample.stop=[a, b]", "--set", r'repair.system="\x1b[2J\u202e"')
    shown = call("show", str(ROOT / "pipelines" / "demo.yaml"), *changes)
    lines = {line.strip() for line in shown.splitlines()}
    assert {
        "max_tokens: 64  # default: 1024",
        "num_samples: 8",
        "top_p: 1.0",
        "stop: [a, b]  # default: []",
        "max_edit_ratio: 0.6  # default: 0.3",
        "model: demo:policy  # yours; there is no default",
    } <= lines
    assert "\x1b" not in shown and "\u202e" not in shown


def test_data_is_found_beside_the_file_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    for folder in (home, other):
        (folder / "data").mkdir(parents=True)
    (home / "data" / "here.jsonl").touch()
    (other / "data" / "there.jsonl").touch()
    for folder in (home, other):
        (folder / "data" / "both.jsonl").touch()
    names = ["data/here.jsonl", "data/there.jsonl", "data/both.jsonl", "data/*.jsonl", "nowhere"]
    tree = {
        "prompts": {"source": "jsonl", "path": names},
        "policy": {"engine": "transformers", "model": "m"},
    }
    (home / "p.yaml").write_text(yaml.safe_dump(tree))
    monkeypatch.chdir(other)
    found = load_pipeline(home / "p.yaml", environ={}).prompts
    assert found is not None and found.path == [
        str(home / "data/here.jsonl"),
        "data/there.jsonl",
        str(home / "data/both.jsonl"),
        str(home / "data/*.jsonl"),
        "nowhere",
    ]
    typed = load_pipeline(home / "p.yaml", ["prompts.path=data/both.jsonl"], environ={}).prompts
    assert typed is not None and typed.path == "data/both.jsonl"
    monkeypatch.chdir(home)
    unchanged = load_pipeline(Path("p.yaml"), environ={}).prompts
    assert unchanged is not None and unchanged.path == names


def test_a_file_that_is_nowhere_names_both_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dfgen.errors import InputError
    from tests.prompts.source_files import read

    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        read(source="jsonl", path="nowhere.jsonl")
    assert "beside the pipeline file, then in the current folder" in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_a_completion_script(shell: str) -> None:
    result = CliRunner().invoke(cli, ["completion", shell])
    assert result.exit_code == 0 and "_DFGEN_COMPLETE" in result.stdout


@pytest.mark.parametrize(
    ("words", "word", "expected"),
    [("dfgen st", 1, "plain,status"), ("dfgen inspect --s", 2, "plain,--source")],
)
def test_commands_and_options_are_completed(words: str, word: int, expected: str) -> None:
    asked = {"_DFGEN_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(word)}
    done = subprocess.run(
        [sys.executable, "-c", "from dfgen.cli.main import cli; cli.main(prog_name='dfgen')"],
        env={**os.environ, **asked},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert expected in done.stdout.split(), done.stderr
