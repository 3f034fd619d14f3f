"""`dfgen ls`: every run beneath a folder, damaged ones named, none of them fatal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.report.stats import measure_groups
from dfgen.store.run import Run
from tests.support.sample_run import make_run
from tests.support.scripted_models import make_pipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder / "good", prompts=4, samples=2)
    for name in ("torn", "deep/er/cut", "deep/gone"):
        shutil.copytree(folder / "good", folder / name)
    (folder / "torn" / "run.json").write_text('{"format": "dfgen.run/1", "cre')
    damaged = folder / "deep" / "er" / "cut" / "rejects"
    for path in [*damaged.glob("*.parquet"), *(damaged.parent / "masks").glob("*.parquet")]:
        path.write_bytes(path.read_bytes()[:100])
    shards = folder / "deep" / "er" / "cut" / "trajectories"
    for path in shards.glob("*.parquet"):
        path.write_bytes(b"no parquet")
    Run.open_or_create(folder / "new", make_pipeline(folder / "deep"))
    (folder / "notes").mkdir()
    (folder / "deep" / "back").symlink_to(folder)
    return folder


def list_runs(folder: Path) -> dict[str, Any]:
    result = CliRunner().invoke(cli, ["ls", str(folder), "--json"])
    assert result.exit_code == 0, result.output
    runs = json.loads(result.stdout)["runs"]
    return {str(Path(each["run"]).relative_to(folder)): each for each in runs}


def test_all_runs_are_found_once_and_damaged_ones_named(folder: Path) -> None:
    found = list_runs(folder)
    assert {name: each["state"] for name, each in found.items()} == {
        "deep/er/cut": "damaged",
        "deep/gone": "finished",
        "good": "finished",
        "new": "unfinished",
        "torn": "damaged",
    }
    assert "not JSON" in found["torn"]["problem"]
    assert "part-00000.parquet" in found["deep/er/cut"]["problem"]


def test_figures_are_those_of_the_run(folder: Path) -> None:
    good = list_runs(folder)["good"]
    run = Run.open_or_create(folder / "good", None)
    assert good["pass_rate"] == measure_groups(run)["pass_rate"]
    assert good["trajectories"] == 8 and good["prompts"] == 4 and good["masks"]
    files = [path for path in (folder / "good").rglob("*") if path.is_file()]
    assert good["size_bytes"] == sum(path.stat().st_size for path in files)
    assert good["age_s"] >= 0 and good["created"] == run.manifest.created


def test_keys_are_stable(folder: Path) -> None:
    for each in list_runs(folder).values():
        assert sorted(each) == [
            *("age_s", "created", "masks", "name", "pass_rate", "problem", "prompts", "run"),
            *("size_bytes", "state", "trajectories"),
        ]


def test_people_get_a_table(folder: Path) -> None:
    result = CliRunner().invoke(cli, ["ls", str(folder)])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == [
        "run",
        "state",
        "size",
        "prompts",
        "answers",
        "masks",
        "right",
        "age",
    ]
    assert sum("finished" in line for line in lines) == 3
    assert sum(line.startswith("damaged: ") for line in lines) == 2


def test_a_folder_without_runs_is_no_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["ls", str(tmp_path)])
    assert result.exit_code == 0 and "there is no run" in result.stderr
