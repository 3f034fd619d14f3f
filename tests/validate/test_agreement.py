"""Rows that contradict those of another table are found though every checksum was made anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfgen.store.entries import find_entry_file, write_entry
from dfgen.store.layout import JOURNAL, find_writer
from dfgen.store.manifest import Manifest
from dfgen.store.run import Run
from dfgen.validate.path import validate_path
from tests.support.full_run import make_full_run

Row = dict[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_full_run(tmp_path_factory.mktemp("agreement") / "run")


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def forge(root: Path, name: str, change: Callable[[Row], bool]) -> None:
    """Change the first row of a table that `change` says it has changed, with all that is noted."""
    run = Run.open_or_create(root, None)
    stage, table = find_writer(name), run.table(name)
    with run.lock():
        rows = list(table.iter_rows(0))
        assert any(change(row) for row in rows)
        written = table.write(0, rows)
        known = run.entry(stage, 0)
        assert known is not None
        entry = known.model_copy(deep=True)
        entry.sha256[run.name_file(table, 0)] = written.sha256

        def note(manifest: Manifest) -> None:
            manifest.shards[stage][0] = entry

        run.update(note)
        if find_entry_file(root / JOURNAL, stage, 0).exists():
            write_entry(root / JOURNAL, stage, 0, entry)


def spare_all(row: Row) -> bool:
    """Take every token out of loss_mask, though words or numbers were changed."""
    if row["mask_source"] != "repair" or not any(row["loss_mask"]):
        return False
    if not any(hunk["kind"] == "substitution" for hunk in json.loads(row["hunks"])):
        return False
    row["loss_mask"] = [False] * len(row["loss_mask"])
    return True


def spare_one(row: Row) -> bool:
    """Take one token with a changed number out of loss_mask, and leave another in."""
    if row["mask_source"] != "repair" or sum(row["loss_mask"]) < 2:
        return False
    row["loss_mask"][row["loss_mask"].index(True)] = False
    return True


def swap_two_ids(row: Row) -> bool:
    ids = row["completion_ids"]
    ids[0], ids[1] = ids[1], ids[0]
    return bool(ids[0] != ids[1])


def make_likelier(row: Row) -> bool:
    row["logprobs"][0] = -0.25
    return True


def say_more(row: Row) -> bool:
    row["repair"] += "."
    return True


def speak_differently(row: Row) -> bool:
    row["completion"] += "!"
    return True


def repaint(row: Row) -> bool:
    if not row["images"]:
        return False
    row["images"][0]["bytes"] += b"\0"
    return True


FORGERIES: dict[str, tuple[str, Callable[[Row], bool], str]] = {
    "loss_mask all false": ("masks", spare_all, "none of its tokens is in loss_mask"),
    "loss_mask lacks a token": ("masks", spare_one, "in loss_mask"),
    "mask with other ids": ("masks", swap_two_ids, "has another completion_ids"),
    "mask with other logprobs": ("masks", make_likelier, "has another logprobs"),
    "trajectory with other logprobs": ("trajectories", make_likelier, "has another logprobs"),
    "trajectory with other ids": ("trajectories", swap_two_ids, "decoding the completion_ids"),
    "trajectory with other text": ("trajectories", speak_differently, "decoding the completion_"),
    "another repair": ("repairs", say_more, "has another repair than the accepted one"),
    "another picture": ("prompts", repaint, "has other pictures than image_info says"),
}


def test_a_sound_run_agrees(root: Path) -> None:
    findings = validate_path(root, None)
    assert not findings.problems
    assert any("tables, pictures and their notes" in each for each in findings.checked)


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_row_is_named(root: Path, name: str) -> None:
    table, change, said = FORGERIES[name]
    forge(root, table, change)
    findings = validate_path(root, None)
    assert not findings.damaged, "the notes were forged with the file"
    assert any(said in each for each in findings.problems), findings.problems
