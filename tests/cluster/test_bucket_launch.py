"""Workers of a run in a bucket are told its address, not where the launcher has staged it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from tests.cluster.runs import write_pipeline

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
