"""With `--json` stdout is one JSON object, whatever becomes of the command: one rule for all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from dfgen.cli.main import COMMANDS, cli
from tests.check.making import write_pipeline
from tests.support.sample_run import make_run


def list_json_commands() -> Iterator[str]:
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        inner = command.commands if isinstance(command, click.Group) else {"": command}
        for sub, each in inner.items():
            if any("--json" in option.opts for option in each.params):
                yield f"{name} {sub}".strip()


# A command line of each command that cannot succeed: RUN is no run, FILE is not there.
FAILING: dict[str, tuple[str, ...]] = {
    "run": ("FILE", "--out", "NEW"),
    "check": ("FILE",),
    "sample": ("RUN",),
    "import": ("PIPELINE", "--out", "NEW"),
    "repair": ("RUN", "--rejudge"),
    "regrade": ("RUN",),
    "score": ("RUN",),
    "value": ("RUN", "--dry-run"),
    "mask": ("--pairs", "FILE", "--tokenizer", "demo:policy", "--out", "NEW"),
    "diff": ("PIPELINE", "PIPELINE", "--tokenizer", "demo:polcy"),
    "retokenize": ("RUN", "--tokenizer", "demo:policy", "--out", "NEW"),
    "migrate": ("RUN",),
    "validate": ("RUN",),
    "status": ("RUN",),
    "ls": ("FILE",),
    "stats": ("RUN",),
    "report": ("RUN",),
    "inspect": ("RUN",),
    "export": ("RUN", "--out", "NEW"),
    "publish": ("RUN", "me/data"),
    "config show": ("FILE",),
    "demo": ("--out", "PIPELINE/a"),
}


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def read_error(result: Result) -> dict[str, Any]:
    """The error of what must be one JSON object and nothing else."""
    content = json.loads(result.stdout)
    assert isinstance(content, dict)
    error: dict[str, Any] = content["error"]
    assert sorted(error) == ["hint", "what", "where"] and error["what"]
    return error


@pytest.mark.parametrize("name", [*list_json_commands()])
def test_every_command_that_fails_says_why(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    words = {"RUN": tmp_path / "empty", "NEW": tmp_path / "new", "FILE": tmp_path / "gone.yaml"}
    pipeline = str(write_pipeline(tmp_path))
    given = [str(words.get(word, word)).replace("PIPELINE", pipeline) for word in FAILING[name]]
    plain = invoke(*name.split(), *given)
    asked = invoke(*name.split(), *given, "--json")
    assert plain.exit_code and asked.exit_code == plain.exit_code, plain.output
    error = read_error(asked)
    assert asked.stderr.strip(), "people read it all the same"
    assert " ".join(error["what"].split())[:40] in " ".join(asked.stderr.split())
    usage = invoke(*name.split(), *given, "--json", "--wrong-option")
    assert usage.exit_code == 2
    assert "--wrong-option" in read_error(usage)["what"]


def test_an_outcome_that_is_no_success_keeps_its_figures(tmp_path: Path) -> None:
    pipeline = write_pipeline(tmp_path, policy__model="nowhere/a/b")
    checked = invoke("check", pipeline, "--json")
    assert checked.exit_code == 1
    assert "nowhere/a/b" in read_error(checked)["what"]
    assert json.loads(checked.stdout)["findings"]
    dry = invoke("run", pipeline, "--dry-run", "--json")
    assert dry.exit_code == 1
    assert "nowhere/a/b" in read_error(dry)["what"] and json.loads(dry.stdout)["estimate"]


def test_damage_is_listed_and_said(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", prompts=3, samples=2)
    masks = next((root / "masks").glob("*.parquet"))
    data = bytearray(masks.read_bytes())
    data[len(data) // 2] ^= 1
    masks.write_bytes(data)
    result = invoke("validate", root, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["problems"]
    assert read_error(result)["where"] == str(root)


def test_too_many_rejects_print_counts_and_error(tmp_path: Path) -> None:
    pipeline = write_pipeline(tmp_path)
    (tmp_path / "1.png").unlink()
    arguments = ("sample", pipeline, "--out", tmp_path / "run", "-q", "--set=max_reject_ratio=0.1")
    result = invoke(*arguments, "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["counts"]["prompts"]["rejects"] == 1
    assert "rejected" in read_error(result)["what"]


def test_success_has_no_error(tmp_path: Path) -> None:
    result = invoke("config", "show", write_pipeline(tmp_path), "--json")
    assert result.exit_code == 0 and "error" not in json.loads(result.stdout)
    assert invoke("run", "--help", "--json").stdout.startswith("Usage")


def test_json_asked_for_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFGEN_STATUS_AS_JSON", "1")
    (tmp_path / "empty").mkdir()
    result = invoke("status", tmp_path / "empty")
    assert result.exit_code == 1
    assert read_error(result)["what"]
