"""`dfgen check` names settings that a run would refuse to go on with."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from tests.support.sample_run import make_run


@pytest.mark.parametrize(
    ("setting", "named"),
    [("sample.temperature=0.7", "sample.temperature: 1.0 -> 0.7"), ("max_reject_ratio=0.9", None)],
)
def test_settings_of_other_rows_are_named(tmp_path: Path, setting: str, named: str | None) -> None:
    root = make_run(tmp_path / "run", prompts=4, samples=2)
    arguments = ["check", str(root), "--offline", "--set", setting]
    result = CliRunner().invoke(cli, arguments)
    if named is None:
        assert result.exit_code == 0, result.output
    else:
        assert result.exit_code == 1
        assert (
            named in result.output and "--redo sample`, with the new values given" in result.output
        )


def test_settings_of_all_stages_are_named_each_once(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", prompts=4, samples=2)
    changes = ["--set=sample.temperature=0.7", "--set=mask.crumbs=false"]
    result = CliRunner().invoke(cli, ["check", str(root), "--offline", *changes])
    assert result.exit_code == 1
    assert result.output.count("sample.temperature: 1.0 -> 0.7") == 1
    assert result.output.count("mask.crumbs: true -> false") == 1
