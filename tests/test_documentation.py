"""What README and help texts tell people to type works."""

from __future__ import annotations

import ast
import doctest
import json
import re
import shlex
import shutil
import sys
import threading
import tomllib
from pathlib import Path
from types import FrameType

import pytest
from click.testing import CliRunner

from dfgen.cli.main import COMMANDS, cli
from dfgen.export.exporting import export_tables
from dfgen.store.finished import open_finished
from tests.support.code_trees import parse_file
from tests.support.sample_run import make_run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def list_readme_commands() -> list[str]:
    """Lines of README's `sh` blocks that call dfgen, in order, comments left out."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("dfgen ")]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a reader of the README has it: the recipes and the small files it names."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "pipelines", folder / "pipelines")
    (folder / "wrong.txt").write_text("Step 1: I see 3.\nAnswer: 3")
    (folder / "right.txt").write_text("Step 1: I see 4.\nAnswer: 4")
    pair = {"id": "a", "wrong": "2 + 2 = 5", "right": "2 + 2 = 4"}
    (folder / "pairs.jsonl").write_text(json.dumps(pair) + "\n")
    return folder


def test_readme_commands_run(sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sandbox)
    commands = list_readme_commands()
    assert len(commands) >= 8
    for command in commands:
        result = CliRunner().invoke(cli, shlex.split(command)[1:])
        assert result.exit_code == 0, f"{command}\n{result.output}"


LIFE = re.findall(r"^\| \d+ \| `(\w+)` \| `([\w/.]+)` \|", README, re.MULTILINE)


def test_life_of_a_row_names_functions_that_exist() -> None:
    assert 8 <= len(LIFE) <= 12
    for name, path in LIFE:
        tree = parse_file(ROOT / path)
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert name in defined, f"{path} has no function {name}"


def test_a_wrong_answer_passes_the_functions_of_its_life(tmp_path: Path) -> None:
    """Of a run with scripted models, exported: every function that the README names is called."""
    called = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.add((frame.f_code.co_name, frame.f_code.co_filename))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        finished = open_finished(make_run(tmp_path / "run", prompts=3, samples=4))
        export_tables(finished, ["groups"], tmp_path / "groups")
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    assert {(name, str(ROOT / path)) for name, path in LIFE} <= called


def test_files_and_names_of_the_readme_exist() -> None:
    """Paths and links lead somewhere; names in the table of additions are in the code."""
    for path in set(re.findall(r"[`(]((?:dfgen|tests|schemas|pipelines)/[\w/.-]*)[`)]", README)):
        assert (ROOT / path).exists(), path
    section = README[README.index("### How to add") : README.index("## Licence")]
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "dfgen").rglob("*.py"))
    for name in set(re.findall(r"`(_?[A-Z][A-Za-z_]+|[a-z]+_[a-z_]+)[`(]", section)):
        assert re.search(rf"^\s*(?:class |def )?{name}\b", code, re.MULTILINE), name


def test_folder_map_is_complete() -> None:
    section = README[README.index("## Development") : README.index("### Life of a row")]
    for folder in (ROOT / "dfgen").iterdir():
        if folder.is_dir() and any(folder.glob("*.py")):
            assert f" {folder.name}/ " in section, folder.name


def test_readme_shows_every_command() -> None:
    shown = {name for name in COMMANDS if f"dfgen {name}" in README}
    assert set(COMMANDS) - shown <= {"demo", "sample", "repair"}


@pytest.mark.parametrize(
    "name", ["README.md", "tests/README.md", "pipelines/README.md", "schemas/README.md", ".ci/run"]
)
def test_make_targets_that_are_named_exist(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    text = (ROOT / name).read_text("utf-8")
    for target in set(re.findall(r"(?:`|^start |^)make ([a-z-]+)", text, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("folder", ["pipelines", "schemas"])
def test_every_file_of_a_folder_stands_in_its_readme(folder: str) -> None:
    text = (ROOT / folder / "README.md").read_text("utf-8")
    for path in (ROOT / folder).glob("*.*"):
        if path.name != "README.md":
            assert f"`{path.name.split('.')[0]}" in text, path.name


def test_every_marker_stands_in_the_readme_of_the_tests() -> None:
    text = (ROOT / "tests" / "README.md").read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    for line in project["tool"]["pytest"]["ini_options"]["markers"]:
        assert f"`{line.split(':')[0]}` |" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_in_help_parse(name: str, sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every example names options that exist. Paths in them need not exist here."""
    monkeypatch.chdir(sandbox)
    text = CliRunner().invoke(cli, [name, "--help"]).output
    examples = [line.strip() for line in text.splitlines() if line.strip().startswith("dfgen ")]
    assert examples
    for example in examples:
        words = shlex.split(re.split(r"[|>]", example)[0])
        known = {option for command in _walk(name) for p in command.params for option in p.opts}
        used = {word.split("=")[0] for word in words if word.startswith("-") and word != "-"}
        assert used <= known, example


def _walk(name: str) -> list:
    import click

    command = cli.get_command(click.Context(cli), name)
    return [command, *getattr(command, "commands", {}).values()]


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").glob("*.yaml")), ids=lambda p: p.name)
def test_recipes_are_valid(path: Path) -> None:
    result = CliRunner().invoke(cli, ["config", "show", str(path)])
    assert result.exit_code == 0, result.output


def test_starter_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    assert CliRunner().invoke(cli, ["config", "init", str(path)]).exit_code == 0
    assert CliRunner().invoke(cli, ["config", "show", str(path)]).exit_code == 0
    again = CliRunner().invoke(cli, ["config", "init", str(path)])
    assert "exists already" in again.output


def test_example_of_diff_pair_is_true() -> None:
    import dfgen.diff.pair as module

    finder = doctest.DocTestFinder(recurse=False)
    (test,) = finder.find(module.diff_pair, globs=vars(module).copy())
    result = doctest.DocTestRunner().run(test)
    assert result.attempted > 5
    assert result.failed == 0
