"""The card says what the manifest says, and the Hub can read its header."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from dfgen.publish.flow import rehearse
from dfgen.publish.options import PublishOptions
from dfgen.publish.release import Release
from dfgen.report.card import escape
from dfgen.store.finished import open_finished


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
        "GRPOTrainer(",
        "verl.trainer.main_ppo",
        "## Limits",
        "arXiv:2603.27482",
    ):
        assert text in card


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
