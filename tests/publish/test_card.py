"""The card says what the manifest says, and the Hub can read its header."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
import yaml

from dfgen.errors import ConfigError
from dfgen.export.tables import TABLES
from dfgen.publish.flow import rehearse
from dfgen.publish.options import PublishOptions
from dfgen.publish.release import Release
from dfgen.report.card import escape, list_counts
from dfgen.report.training import EXAMPLES, TRL
from dfgen.store.finished import open_finished
from tests.support.code_trees import parse_code, parse_file

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def release(run: Path) -> Release:
    options = PublishOptions("alice/my-masks", ("groups", "preference"), license="cc-by-4.0")
    return rehearse(open_finished(run), options, lambda _: None)


@pytest.fixture(scope="module")
def card(release: Release) -> str:
    (readme,) = [file for file in release.files if file.path == "README.md"]
    return readme.source.read_text("utf-8")


def test_header(card: str) -> None:
    header = yaml.safe_load(card.split("---\n")[1])
    assert header["license"] == "cc-by-4.0"
    assert header["size_categories"] == ["n<1K"]
    assert header["task_categories"] == ["image-text-to-text"]
    assert [config["config_name"] for config in header["configs"]] == ["groups", "preference"]
    assert [config.get("default") for config in header["configs"]] == [True, None]
    assert "dataset_info" not in header


def test_figures_are_those_of_the_run(card: str, release: Release) -> None:
    numbers = release.manifest.numbers
    assert f"{numbers['masks']['masked_share']:.1%}" in card
    assert f"{numbers['masks']['hunks_per_repair']:.2f}" in card
    for stage in ("sample", "repair", "mask"):
        row = numbers["counts"][stage]
        assert f"| {row['input']:,} | {row['output']:,} | {row['rejects']:,} |" in card
    for reasons in numbers["rejects"].values():
        for reason, count in reasons.items():
            assert f"| `{reason}` | {count} |" in card
    for name in ("demo:policy", "scripted-repairer", release.manifest.tokenizer["sha256"]):
        assert str(name) in card


def test_how_to_load_train_and_cite(card: str) -> None:
    for text in (
        'load_dataset("alice/my-masks", "groups", split="train")',
        'dfgen.load_groups("alice/my-masks"',  # there is no table that load_masks reads
        'load_rows("alice/my-masks", "df+whole", tokenizer=processor)',
        "DiffGRPOTrainer(",
        "DFGEN_DATA=alice/my-masks swift rlhf",
        'make_examples("alice/my-masks", "df+whole")',
        "## Limits",
        "arXiv:2603.27482",
    ):
        assert text in card


@pytest.mark.parametrize("snippet", [TRL, EXAMPLES])
def test_snippets_call_what_there_is(snippet: str) -> None:
    """Names imported from dfgen are defined in the module, and get arguments that they take."""
    tree = parse_code(snippet.format(data="me/masks"))
    defined: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("dfgen."):
            path = ROOT / f"{str(node.module).replace('.', '/')}.py"
            code = parse_file(path)
            for each in code.body:
                if isinstance(each, ast.FunctionDef):
                    names = [*each.args.args, *each.args.kwonlyargs]
                    defined[each.name] = {argument.arg for argument in names}
                elif isinstance(each, ast.ClassDef):
                    defined[each.name] = set()
            assert {alias.name for alias in node.names} <= defined.keys()
    called = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for node in called:
        takes = defined.get(getattr(node.func, "id", ""))
        if takes:
            assert {keyword.arg for keyword in node.keywords} <= takes


def test_tables_of_a_recipe_are_not_published(run: Path) -> None:
    for name in ("examples", "slime", "openrlhf", "verifiers"):
        options = PublishOptions("alice/my-masks", ("groups", name), license="mit")
        with pytest.raises(ConfigError, match=f"table {name} is not published"):
            rehearse(open_finished(run), options, lambda _: None)


def test_every_other_table_has_its_place_in_the_card(run: Path) -> None:
    names = tuple(name for name, table in TABLES.items() if table.on_hub)
    assert names[:4] == ("groups", "trajectories", "preference", "stepwise")
    assert set(names[4:]) == {"sft", "privileged", "chord", "luffy"}
    options = PublishOptions("alice/all", names, license="mit")
    release = rehearse(open_finished(run), options, lambda _: None)
    (readme,) = [file for file in release.files if file.path == "README.md"]
    text = readme.source.read_text("utf-8")
    for name in names:
        rows = release.manifest.tables[name].rows
        assert f"| `{name}` | {rows:,} |" in text
        assert TABLES[name].description in text


def test_masks_without_a_question_are_in_the_card() -> None:
    entry = {"rows": 1, "trajectories": 1}
    tables = {"groups": {**entry, "masks_left_out": 1234}, "trajectories": entry}
    assert list_counts({"tables": tables}).endswith(
        "1,234 masks have no question and are not in `groups`."
    )
    assert "no question" not in list_counts({"tables": {"groups": entry}})


def test_pictures_of_the_card_are_in_the_release(card: str, release: Release) -> None:
    paths = {file.path for file in release.files}
    shown = [line[line.index("(") + 1 : -1] for line in card.splitlines() if line.startswith("![")]
    assert shown
    assert set(shown) <= paths


def test_no_path_of_this_machine(card: str, release: Release, run: Path) -> None:
    assert str(run) not in card
    assert str(run) not in json.dumps(release.manifest.model_dump())


def test_text_of_others_cannot_break_a_table() -> None:
    assert escape("a|b`c\nd") == "a\\|b'c d"
