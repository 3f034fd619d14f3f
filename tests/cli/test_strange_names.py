"""Run directories with names that shells, globs, addresses and pages could take for something."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import dfgen
from dfgen.cli.main import cli
from tests.hostile.names import IMPOSSIBLE, NAMES
from tests.support.sample_run import make_run

PYARROW = re.compile(r"pq\.(?:ParquetFile|ParquetWriter|read_\w+)\(\s*([^,)]*)")
OPENED = ("open_for_arrow(", "pa.memory_map(", "pa.BufferReader(", "source", "sink")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("made") / "run", prompts=4, samples=2)


def call(*arguments: str | Path) -> str:
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, f"{arguments}: {result.output}"
    return result.output


@pytest.mark.parametrize("name", NAMES)
def test_every_command_takes_any_name(
    name: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path(NAMES[name])
    shutil.copytree(made, tmp_path / run)
    call("stats", "--", run)
    call("status", "--", run)
    call("ls", "--", ".")
    call("validate", "--", run)
    call("inspect", "--", run)
    call("migrate", "--", run)
    call("report", "--limit", "2", "--", run)
    assert (tmp_path / run / "report.html").stat().st_size > 10_000
    call("regrade", "-q", "--set", "grade.last_number=false", "--", run)
    for table in ("groups", "sft"):
        out = tmp_path / f"exported {table}" / run
        call("export", "--to", table, f"--out={out}", "--", run)
        call("validate", "--", out)
    other = Path(f"{NAMES[name][:200]}-other")
    call("retokenize", "--tokenizer", "demo:policy", f"--out={other}", "--", run)
    call("validate", "--", other)
    pairs = Path(f"{NAMES[name][:200]}.jsonl")
    pairs.write_text(json.dumps({"wrong": "I see 4", "right": "I see 5"}) + "\n")
    masks = Path(f"{NAMES[name][:200]}-masks")
    common = ("--tokenizer", "demo:policy", "--workers", "1", "-q")
    call("mask", f"--pairs={pairs}", f"--out={masks}", *common)
    call("validate", "--", masks)
    call("mask", f"--pairs={pairs}", f"--out={masks}", *common)
    assert {path.name for path in tmp_path.iterdir()} == {
        *(run.name, other.name, pairs.name, masks.name),
        *("exported groups", "exported sft"),
    }


def test_no_path_is_given_to_pyarrow() -> None:
    """It takes names for homes, addresses and columns, and refuses those that are no UTF-8."""
    for file in Path(dfgen.__path__[0]).rglob("*.py"):
        given = [match[1] for match in PYARROW.finditer(file.read_text("utf-8"))]
        assert all(each.startswith(OPENED) for each in given), f"{file}: use open_for_arrow()"


@pytest.mark.parametrize("name", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_name_that_no_file_can_have_is_one_error(name: str, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"wrong": "I see 4", "right": "I see 5"}) + "\n")
    out = f"--out={tmp_path}/{name}"
    result = CliRunner().invoke(
        cli, ["mask", "--pairs", str(pairs), out, "--tokenizer", "demo:policy", "-q"]
    )
    assert isinstance(result.exception, SystemExit) and result.exit_code in (1, 2)
    assert "too long" in result.output or "null character" in result.output
