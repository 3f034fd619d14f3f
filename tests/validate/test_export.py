"""An exported folder is compared with its dfgen.json, file by file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfgen.cli.main import cli
from dfgen.errors import DfgenError
from dfgen.export.exporting import export_tables
from dfgen.export.manifest import read_dataset_manifest
from dfgen.store.finished import open_finished
from dfgen.validate.path import validate_path
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


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 1, exclude_max=True, width=32), st.integers(0, 7))
def test_one_flipped_bit_of_the_manifest_is_found(exported: Path, place: float, bit: int) -> None:
    path = exported / "dfgen.json"
    before = path.read_bytes()
    after = bytearray(before)
    after[int(place * len(after))] ^= 1 << bit
    path.write_bytes(after)
    try:
        assert says_something_else(before, bytes(after)) == is_refused(exported)
    finally:
        path.write_bytes(before)


def says_something_else(before: bytes, after: bytes) -> bool:
    """Whether JSON differs; 1E-5 for 1e-5 is the same number in other letters."""
    try:
        return bool(json.loads(before) != json.loads(after))
    except ValueError:
        return True


def is_refused(folder: Path) -> bool:
    """Whether validate finds a problem, and who loads the data set refuses it."""
    try:
        found = bool(validate_path(folder, None).problems)
    except DfgenError:
        found = True
    if found:
        with pytest.raises(DfgenError):
            read_dataset_manifest(folder / "dfgen.json")
    return found


def test_a_manifest_without_a_checksum_is_said_to_have_none(exported: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "out"))
    data = json.loads((folder / "dfgen.json").read_bytes())
    del data["content_sha256"]
    (folder / "dfgen.json").write_text(json.dumps({**data, "name": "mine"}))
    found = validate_path(folder, None)
    assert not found.problems
    assert any("gave it no checksum" in line for line in found.skipped)
    assert read_dataset_manifest(folder / "dfgen.json").name == "mine"


@pytest.mark.parametrize("name", ["contenu_sha256", "", "sha256"])
def test_a_seal_under_another_name_is_none_that_was_left_out(exported: Path, name: str) -> None:
    path = exported / "dfgen.json"
    before = path.read_bytes()
    path.write_bytes(before.replace(b'"content_sha256"', f'"{name}"'.encode()))
    try:
        assert is_refused(exported)
    finally:
        path.write_bytes(before)
