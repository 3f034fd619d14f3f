"""The main job, whole: what a stranger gets from `dfgen run pipelines/demo.yaml`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from tests.end_to_end.conftest import RECIPE, SMALL, read_files, run_dfgen


def read_masks(run: Path) -> list[dict]:
    return [
        row
        for file in sorted((run / "masks").glob("*.parquet"))
        for row in pq.read_table(file).to_pylist()
    ]


def test_every_stage_left_its_files(finished_run: Path) -> None:
    files = read_files(finished_run)
    for folder in ("prompts", "trajectories", "repairs", "masks"):
        assert [name for name in files if name.startswith(folder)] == [
            f"{folder}/part-{shard:05d}.parquet" for shard in range(3)
        ]
    assert not list((finished_run / "journal").glob("*"))


def test_counts_add_up(finished_run: Path) -> None:
    result = CliRunner().invoke(cli, ["stats", str(finished_run), "--json"])
    counts = json.loads(result.stdout)["counts"]
    assert counts["prompts"]["input"] == 14
    assert counts["sample"]["input"] == 14 * 3
    for numbers in counts.values():
        assert numbers["pending"] == 0
        assert numbers["input"] == numbers["output"] + numbers["rejects"]
    assert counts["repair"]["output"] > 0


def test_validate_finds_nothing(finished_run: Path) -> None:
    result = CliRunner().invoke(cli, ["validate", str(finished_run)])
    assert result.exit_code == 0, result.output
    assert "sound" in result.stdout


def test_unmasked_tokens_stand_in_the_repair(finished_run: Path) -> None:
    repaired = [row for row in read_masks(finished_run) if row["mask_source"] == "repair"]
    assert repaired
    for row in repaired:
        kept = [
            token
            for token, masked, operation in zip(
                row["completion_ids"], row["loss_mask"], row["token_ops"], strict=True
            )
            if not masked and operation == 0
        ]
        position = iter(row["repair_ids"])
        assert all(token in position for token in kept), row["trajectory_id"]


def test_ids_and_logprobs_belong_together(finished_run: Path) -> None:
    for row in read_masks(finished_run):
        assert len(row["logprobs"]) == len(row["completion_ids"])
        assert max(row["logprobs"]) <= 0


def test_running_again_does_nothing(finished_run: Path) -> None:
    before = read_files(finished_run)
    times = {path: path.stat().st_mtime_ns for path in finished_run.rglob("*.parquet")}
    run_dfgen("run", RECIPE, "--out", finished_run, *SMALL)
    assert read_files(finished_run) == before
    assert {path: path.stat().st_mtime_ns for path in finished_run.rglob("*.parquet")} == times


def test_another_batch_size_is_the_same_run(finished_run: Path) -> None:
    run_dfgen("run", RECIPE, "--out", finished_run, *SMALL, "--set=policy.batch_size=2")


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ("sample.temperature=0.5", "sample.temperature"),
        ("seed=9", "seed"),
        ("repair.max_edit_ratio=0.2", "repair.max_edit_ratio"),
        ("mask.crumbs=false", "mask.crumbs"),
    ],
)
def test_other_settings_are_refused_by_name(finished_run: Path, setting: str, field: str) -> None:
    result = run_dfgen("run", RECIPE, "--out", finished_run, *SMALL, "--set", setting, code=1)
    assert field in result.stderr
    assert "Traceback" not in result.stderr


def test_masks_load_without_dfgen(finished_run: Path) -> None:
    code = (
        "import sys, datasets\n"
        "sys.modules['dfgen'] = None\n"
        f"data = datasets.load_dataset('parquet', data_files='{finished_run}/masks/*.parquet')\n"
        "print(data['train'].num_rows)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == str(len(read_masks(finished_run)))


def test_stdout_is_data_and_stderr_is_talk(tmp_path: Path) -> None:
    arguments = ("run", RECIPE, "--out", tmp_path / "run", *SMALL, "--set=prompts.count=2")
    result = run_dfgen(*arguments, "--json")
    assert json.loads(result.stdout)["counts"]["prompts"]["output"] == 2
    assert "sample" in result.stderr


def test_growing_a_group_keeps_what_is_there(tmp_path: Path) -> None:
    arguments = ("run", RECIPE, "--out", tmp_path / "run", *SMALL, "--set=prompts.count=4")
    run_dfgen(*arguments, "--set=sample.num_samples=2")
    before = {row["trajectory_id"]: row for row in read_masks(tmp_path / "run")}
    run_dfgen(*arguments, "--set=sample.num_samples=4")
    after = {row["trajectory_id"]: row for row in read_masks(tmp_path / "run")}
    assert len(after) == 16
    assert all(after[key] == row for key, row in before.items())
    run_dfgen("validate", tmp_path / "run")


def test_dry_run_shows_prompts_and_writes_nothing(tmp_path: Path) -> None:
    result = run_dfgen("run", RECIPE, "--out", tmp_path / "run", "--dry-run")
    assert "[picture 1: PNG, 64 x 64, " in result.stdout
    assert "reference answer" in result.stdout
    assert not (tmp_path / "run").exists()
