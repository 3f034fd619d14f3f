"""An exported folder is compared with its dfgen.json, file by file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.export.exporting import export_tables
from dfgen.store.finished import open_finished
from tests.support.sample_run import make_run


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    run = make_run(folder / "run", prompts=4, samples=4)
    export_tables(open_finished(run), ["groups", "trajectories"], folder / "out")
    return folder / "out"


def flip(folder: Path) -> None:
    path = next((folder / "groups").iterdir())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_an_export_is_sound(exported: Path) -> None:
    result = CliRunner().invoke(cli, ["validate", str(exported), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert found["sound"] and found["checked"][0].startswith("2 files")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip, "its sha256 differs"),
        (lambda folder: next((folder / "groups").iterdir()).unlink(), "is missing"),
        (
            lambda folder: shutil.copy(
                next((folder / "groups").iterdir()), folder / "groups" / "more.parquet"
            ),
            "does not list it",
        ),
        (lambda folder: (folder / "dfgen.json").write_text('{"tables": 3}'), "not the manifest"),
    ],
)
def test_damage_is_named(
    exported: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    folder = shutil.copytree(exported, tmp_path / "out")
    damage(folder)
    result = CliRunner().invoke(cli, ["validate", str(folder)])
    assert result.exit_code != 0
    assert message in result.output + str(result.exception)
