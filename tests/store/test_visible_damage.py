"""Damage that shows without reading a table: named by a look, passed over by who wants figures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.store.layout import TABLES
from dfgen.store.run import Run
from dfgen.store.visible_damage import RestOfRun, describe_damage, look_for_damage
from dfgen.terminal_text import show_line
from tests.support.full_run import make_full_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_full_run(tmp_path_factory.mktemp("damage") / "run")


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def cut_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def cut_middle(path: Path) -> None:
    """Both ends are there, and the pages are not."""
    data = path.read_bytes()
    footer = int.from_bytes(data[-8:-4], "little")
    path.write_bytes(data[:40] + data[-footer - 8 :])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


def flip_pages(path: Path) -> None:
    """Only who reads a page sees it."""
    data = bytearray(path.read_bytes())
    for place in range(4, len(data) - 8 - int.from_bytes(data[-8:-4], "little")):
        data[place] ^= 1
    path.write_bytes(data)


def find_file(root: Path, folder: str) -> Path:
    return next((root / folder).glob("*.parquet"))


def test_a_sound_run_shows_none(root: Path) -> None:
    run = Run.open_or_create(root, None)
    assert look_for_damage(run) == [] and describe_damage(run, []) is None


@pytest.mark.parametrize("damage", [cut_end, cut_middle, empty, remove])
@pytest.mark.parametrize("folder", [*TABLES, "rejects"])
def test_a_look_names_the_file(root: Path, folder: str, damage: Callable[[Path], None]) -> None:
    path = find_file(root, folder)
    damage(path)
    run = Run.open_or_create(root, None)
    (found,) = look_for_damage(run)
    assert found.path == path
    said = describe_damage(run, [found])
    assert said is not None and "\n" not in said and f"dfgen validate {root}" in said


def test_a_file_with_other_rows_is_named(root: Path) -> None:
    table = Run.open_or_create(root, None).table("masks")
    table.write(0, list(table.iter_rows(0))[1:])
    (found,) = look_for_damage(Run.open_or_create(root, None))
    assert "rows where its note says" in found.what


def test_a_manifest_that_somebody_changed_is_named(root: Path) -> None:
    path = root / "run.json"
    path.write_text(path.read_text().replace('"name": "sample"', '"name": "simple"', 1))
    (found,) = look_for_damage(Run.open_or_create(root, None))
    assert found.path == path and "checksum" in found.what


@pytest.mark.parametrize("damage", [cut_end, cut_middle, empty, remove, flip_pages])
@pytest.mark.parametrize("folder", ["trajectories", "repairs", "masks", "rejects"])
@pytest.mark.parametrize("command", ["ls", "status", "stats", "stats --cost"])
def test_figures_are_those_of_the_rest(
    root: Path, folder: str, damage: Callable[[Path], None], command: str
) -> None:
    path = find_file(root, folder)
    damage(path)
    before = {each: each.read_bytes() for each in root.rglob("*") if each.is_file()}
    where = root.parent if command == "ls" else root
    words = [*command.split(), str(where)]
    shown = CliRunner().invoke(cli, words)
    assert shown.exit_code == 0, shown.output
    named = [line for line in shown.output.splitlines() if line.startswith("damaged: ")]
    reads = {
        "ls": ("trajectories",),
        "status": ("rejects", "repairs"),
        "stats": (folder,),
        "stats --cost": ("rejects", "repairs", "masks"),
    }
    if damage is not flip_pages or folder in reads[command]:
        (line,) = named
        assert str(path) in line and f"dfgen validate {root}" in line
        found = json.loads(CliRunner().invoke(cli, [*words, "--json"]).stdout)
        told = found["runs"][0] if command == "ls" else found
        assert show_line(f"damaged: {told['problem']}") == line
        if command == "ls":
            assert told["state"] == "damaged" and told["prompts"] == 14
    assert {each: each.read_bytes() for each in root.rglob("*") if each.is_file()} == before


def test_a_damaged_journal_and_note_are_passed_over(root: Path) -> None:
    other = next((root / "journal").glob("retry-*.jsonl"))
    shutil.copy(other, root / "journal/repair-00007.jsonl")
    (root / "journal/mask-00000.done.json").write_text("{")
    shown = CliRunner().invoke(cli, ["status", str(root)])
    assert shown.exit_code == 0, shown.output
    (line,) = [line for line in shown.output.splitlines() if line.startswith("damaged: ")]
    assert "2 files are damaged" in line and "mask-00000.done.json" in line


def test_a_run_is_never_written_while_files_are_passed_over(root: Path) -> None:
    run = RestOfRun(Run.open_or_create(root, None), [root / "masks/part-00000.parquet"])
    assert run.table("masks").shards() == []
    with pytest.raises(AssertionError):
        run.lock()
