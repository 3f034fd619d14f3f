"""Workers of a run in a bucket are told its address, not where the launcher has staged it."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.store.layout import TABLES
from tests.cluster.runs import COMMAND, ROOT, Job, write_pipeline
from tests.support.bucket_runs import hash_objects
from tests.support.scripted_runs import hash_tables

pytestmark = pytest.mark.cluster


def test_workers_are_given_the_address(bucket: str, tmp_path: Path) -> None:
    pipeline = write_pipeline(tmp_path, 4, served=False)
    address = f"{bucket}/run"
    words = ["launch", "slurm", str(pipeline), "--out", address, "--workers", "2", "--print"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2
    assert "needs --logs FOLDER" in result.output
    result = CliRunner().invoke(cli, [*words, "--logs", str(tmp_path / "logs")])
    assert result.exit_code == 0, result.output
    assert f"--out {address} --shared" in result.stdout
    assert f"#SBATCH --output={tmp_path}/logs/sample-%A_%a.log" in result.stdout


def test_the_workers_of_the_jobs_make_the_calm_run(
    bucket: str, tmp_path: Path, local_job: Job
) -> None:
    """Each as a task of its array, on a machine of its own: what is shown is what is run."""
    address = f"{bucket}/run"
    words = ["launch", "slurm", str(local_job.pipeline), "--out", address, "--workers", "2"]
    words += ["--print", "--no-check", "--logs", str(tmp_path / "logs")]
    result = CliRunner().invoke(cli, [*words, "--dfgen", shlex.join(COMMAND)])
    assert result.exit_code == 0, result.output
    lines = [line.strip() for line in result.stdout.splitlines() if " launch worker " in line]
    assert len(lines) == 5, "prompts, sample, repair, score, mask"
    for line in lines:
        stage = shlex.split(line)[shlex.split(line).index("worker") + 1]
        tasks = [
            subprocess.Popen(
                ["bash", "-c", f"{line}\nwait $!"],
                cwd=ROOT,
                env={
                    **os.environ,
                    "DFGEN_STAGING": str(tmp_path / f"node-{number}"),
                    "SLURM_ARRAY_TASK_ID": str(number),
                    "SLURM_ARRAY_TASK_COUNT": "2",
                    "QUICK_SECONDS": "0",
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for number in range(1 if stage == "prompts" else 2)
        ]
        said = [task.communicate(timeout=300)[0] for task in tasks]
        assert [task.returncode for task in tasks] == [0] * len(tasks), said
    tables = [*TABLES, "rejects"]
    assert hash_objects(address, tables) == hash_tables(local_job.pipeline.parent / "calm", tables)
