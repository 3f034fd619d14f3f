"""A misspelt name is answered with the one that was likely meant, wherever names are given."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from tests.check.making import write_pipeline


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("status", "runs/frist"), "runs/first"),
        (("status", "rnus/first"), "runs/first"),
        (("validate", "runs/frist"), "runs/first"),
        (("inspect", "runs/firs"), "runs/first"),
        (("ls", "rusn"), "runs"),
        (("run", "pipline.yaml", "--out", "runs/first"), "pipeline.yaml"),
        (("check", "pipline.yaml"), "pipeline.yaml"),
        (("config", "show", "pipline.yaml"), "pipeline.yaml"),
        (("sample", "runs/frist"), "runs/first"),
        (("export", "runs/first", "--to", "group", "--out", "new"), "groups"),
        (("inspect", "runs/first", "--source", "repare"), "repair"),
        (("sample", "pipeline.yaml", "--out", "new", "--redo", "sampel"), "sample"),
        (("completion", "bsh"), "bash"),
        (("diff", "rows.jsnl", "rows.jsonl", "--tokenizer", "demo:policy"), "rows.jsonl"),
        (("mask", "--pairs", "rows.jsnl", "--tokenizer", "demo:policy", "--out", "new"), "rows.js"),
    ],
)
def test_did_you_mean(
    arguments: tuple[str, ...], meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pipeline(tmp_path)
    (tmp_path / "runs" / "first").mkdir(parents=True)
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code in (1, 2), result.output
    said = result.stderr.lower().replace("\n", " ")
    assert f"did you mean '{meant}" in said or f"did you mean {meant}" in said, result.stderr


def test_nothing_is_guessed_where_nothing_is_like_it(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["status", str(tmp_path / "entirely-different")])
    assert result.exit_code == 2 and "mean" not in result.stderr
