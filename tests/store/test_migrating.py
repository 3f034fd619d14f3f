"""`dfgen migrate`: files of before get today's columns, rows say the same, no stage is reopened."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.errors import DamagedFileError
from dfgen.store import migrating
from dfgen.store.layout import STAGES
from dfgen.store.parquet import make_file_schema
from dfgen.store.run import Run
from dfgen.store.shards import ShardTable
from dfgen.validate.audit import audit
from tests.support.sample_run import make_run

OLD = Path(__file__).parent / "old_run"


def migrate(root: Path) -> dict[str, int]:
    result = CliRunner().invoke(cli, ["migrate", str(root), "--json"])
    assert result.exit_code == 0, result.output
    rewritten: dict[str, int] = json.loads(result.stdout)["rewritten"]
    return rewritten


def test_an_old_run_gets_the_columns_of_today(tmp_path: Path) -> None:
    root = shutil.copytree(OLD, tmp_path / "run")
    run = Run.open_or_create(root, None)
    before = {stage: list(run.output(stage).iter_rows()) for stage in STAGES}
    assert set(migrate(root)) >= {"trajectories", "repairs"}
    run = Run.open_or_create(root, None)
    for stage in STAGES:
        table = run.output(stage)
        assert list(table.iter_rows()) == before[stage]
        assert pq.read_schema(table.path(0)).equals(make_file_schema(table.model))
        assert run.is_done(stage, 0)
    assert audit(run) == []
    assert migrate(root) == {}


def test_a_run_of_today_is_left_alone(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", prompts=4, samples=2)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert migrate(root) == {}
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def mark_version(table: ShardTable, version: str) -> None:
    rows = pq.read_table(table.path(0)).rename_columns({"completion": "text"})
    pq.write_table(rows.replace_schema_metadata({"dfgen.schema": version}), table.path(0))


def test_rows_of_an_older_version_go_through_their_migration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_run(tmp_path / "run", prompts=4, samples=2)
    run = Run.open_or_create(root, None)
    table = run.table("trajectories")
    rows = list(table.iter_rows(0))
    mark_version(table, "dfgen.trajectory/0")
    with pytest.raises(DamagedFileError, match=r"dfgen\.trajectory/0") as caught:
        list(table.iter_rows(0))
    assert "dfgen migrate" in str(caught.value)
    result = CliRunner().invoke(cli, ["migrate", str(root)])
    assert result.exit_code == 1
    assert "no way from there to dfgen.trajectory/1" in result.output
    rename = lambda row: {"completion": row.pop("text"), **row}  # noqa: E731
    monkeypatch.setitem(migrating.MIGRATIONS, "dfgen.trajectory/0", rename)
    assert migrate(root) == {"trajectories": 1}
    assert list(table.iter_rows(0)) == rows
    assert audit(Run.open_or_create(root, None)) == []
