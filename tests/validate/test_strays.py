"""What lies in a run's folders and is none of its files is named, and nothing waits on a pipe."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.errors import StorageError
from dfgen.store.entries import hash_file
from dfgen.store.layout import TABLES, find_writer
from dfgen.store.manifest import Manifest
from dfgen.store.run import Run
from dfgen.validate.path import validate_path
from tests.support.full_run import make_full_run

FOLDERS = (*TABLES, "rejects")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_full_run(tmp_path_factory.mktemp("strays") / "run")


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.mark.parametrize(
    "name",
    ["part-00000 (1).parquet", "copy.parquet", "part-0.parquet", "part-000000.parquet", "notes"],
)
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_file_beside_the_shards_is_named(root: Path, folder: str, name: str) -> None:
    shutil.copy(next((root / folder).glob("*.parquet")), root / folder / name)
    (problem,) = validate_path(root, None).problems
    assert str(root / folder / name) in problem and "is no file of this run" in problem


def test_a_folder_beside_the_shards_is_named_and_a_file_being_written_is_not(root: Path) -> None:
    (root / "masks" / ".dfgen-part-00000.parquet").write_bytes(b"PAR1")
    assert not validate_path(root, None).problems
    (root / "masks" / "more").mkdir()
    (problem,) = validate_path(root, None).problems
    assert str(root / "masks" / "more") in problem


def forget_scores(manifest: Manifest) -> None:
    del manifest.stages["score"]
    manifest.tables.remove("scores")


def test_the_table_of_a_stage_that_the_run_does_not_have_is_named(root: Path) -> None:
    run = Run.open_or_create(root, None)
    with run.lock():
        run.update(forget_scores)
    found = validate_path(root, None).problems
    assert any("scores/part-00000.parquet: is no file of this run" in each for each in found)


def test_no_export_holds_rows_of_a_file_beside_the_shards(root: Path, tmp_path: Path) -> None:
    def export(out: Path) -> dict[str, bytes]:
        result = CliRunner().invoke(cli, ["export", str(root), "--out", str(out)])
        assert result.exit_code == 0, result.output
        return {path.name: path.read_bytes() for path in out.rglob("*.parquet")}

    before = export(tmp_path / "before")
    for name in ("part-00000 (1).parquet", "part-000000.parquet"):
        shutil.copy(root / "masks/part-00000.parquet", root / "masks" / name)
    assert export(tmp_path / "after") == before


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_pipe_in_place_of_a_shard_is_damage(root: Path, folder: str) -> None:
    path = next((root / folder).glob("*.parquet"))
    path.unlink()
    os.mkfifo(path)
    findings = validate_path(root, None)
    assert [each.path for each in findings.damaged] == [path]
    assert "a pipe" in findings.problems[0]


def test_a_pipe_in_place_of_a_journal_is_a_problem(root: Path) -> None:
    (path,) = (root / "journal").glob("retry-*.jsonl")
    path.unlink()
    os.mkfifo(path)
    assert any(str(path) in each for each in validate_path(root, None).problems)


def test_no_checksum_of_a_device_is_taken(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), tmp_path / "pipe", tmp_path):
        with pytest.raises(StorageError):
            hash_file(path)


@pytest.mark.parametrize("table", ["repairs", "masks"])
def test_a_shard_that_was_taken_from_a_run_at_work_is_named(root: Path, table: str) -> None:
    run = Run.open_or_create(root, None)
    with run.lock():
        run.set_stage(find_writer(table), state="running", counts={})
    path = root / table / "part-00000.parquet"
    assert not any(str(path) in line for line in validate_path(root, None).skipped)
    for other in (root / "rejects").glob(f"{find_writer(table)}-*.parquet"):
        other.unlink()
    path.unlink()
    findings = validate_path(root, None)
    assert any(str(path) in line for line in [*findings.skipped, *findings.problems])
