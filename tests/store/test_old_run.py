"""A run that an earlier dfgen (commit c3e7f1d) finished: read, checked, continued, kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.store.layout import STAGES
from dfgen.store.run import Run
from dfgen.validate.audit import audit

OLD = Path(__file__).parent / "old_run"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return shutil.copytree(OLD, tmp_path / "run")


def test_its_rows_are_read_with_nulls_for_columns_that_came_later(root: Path) -> None:
    run = Run.open_or_create(root, None)
    assert run.manifest.kind == "sampled"
    assert [len(list(run.output(stage).iter_rows())) for stage in STAGES] == [2, 6, 2, 6]
    verdicts = [row["verdict"] for row in run.table("trajectories").iter_rows()]
    assert {verdict["undecided"] for verdict in verdicts} == {None}
    assert all(run.is_done(stage, 0) for stage in STAGES)
    assert audit(run) == []


def test_the_same_command_finds_nothing_to_do_and_keeps_every_byte(root: Path) -> None:
    before = {path: path.read_bytes() for path in root.rglob("*.parquet")}
    recipe = Path(__file__).parents[2] / "pipelines" / "demo.yaml"
    # The default of this tolerance has changed since; a run says which it was made with.
    settings = ["--set", "sample.num_samples=3", "--set", "grade.absolute_tolerance=1e-6"]
    options = ["--limit", "2", *settings, "--json"]
    result = CliRunner().invoke(cli, ["run", str(recipe), "--out", str(root), *options])
    assert result.exit_code == 0, result.output
    assert {path: path.read_bytes() for path in root.rglob("*.parquet")} == before
    shards = json.loads((root / "run.json").read_text())["shards"]
    assert {stage: set(entries) for stage, entries in shards.items()} == {
        stage: {"0"} for stage in STAGES
    }
    assert all(entry["0"]["generation"] == 1 for entry in shards.values())
    assert CliRunner().invoke(cli, ["validate", str(root)]).exit_code == 0


@pytest.mark.parametrize(
    "command", [["stats"], ["inspect"], ["inspect", "--rejects"], ["validate"], ["export"]]
)
def test_every_command_reads_it(root: Path, tmp_path: Path, command: list[str]) -> None:
    name, *options = command
    out = ["--out", str(tmp_path / "out")] if name == "export" else []
    result = CliRunner().invoke(cli, [name, str(root), *options, *out])
    assert result.exit_code == 0, result.output
