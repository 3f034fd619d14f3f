"""`--shared`, `--shard` and `--lease` say how a command shares its run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.cli.sharing import Sharing, add_sharing, read_part, read_sharing


def read(*words: str) -> Sharing | str | None:
    """What a command sees of these options; the message if it does not begin."""
    seen: list[Sharing | None] = []

    @click.command()
    @add_sharing
    def command() -> None:
        seen.append(read_sharing())

    result = CliRunner().invoke(command, words)
    return seen[0] if result.exit_code == 0 else result.output


def test_a_command_has_its_run_for_itself_unless_told_otherwise() -> None:
    assert read() is None
    assert read("--shared") == Sharing(60, None)
    assert read("--shared", "--lease", "5") == Sharing(5, None)
    assert "--lease is for --shared" in str(read("--lease", "5"))


def test_a_part_is_shared_work(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read("--shard", "1/3") == Sharing(60, (1, 3))
    for name, value in {"ID": "12", "COUNT": "4", "MIN": "10", "STEP": "2"}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert read("--shard", "slurm") == read("--shard") == Sharing(60, (1, 4))


@pytest.mark.parametrize("text", ["", "1", "4/4", "-1/4", "1/0", "a/b", "1/4/2", "²/4"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="0 <= I < N"):
        read_part(text)


@pytest.mark.parametrize(
    ("environment", "what"),
    [
        ({}, "ID is None"),
        ({"SLURM_ARRAY_TASK_ID": "3"}, "COUNT is None"),
        ({"SLURM_ARRAY_TASK_ID": "x", "SLURM_ARRAY_TASK_COUNT": "4"}, "ID is 'x'"),
        ({"SLURM_ARRAY_TASK_ID": "4", "SLURM_ARRAY_TASK_COUNT": "4"}, "has 4 tasks from 0"),
    ],
)
def test_what_is_no_array_of_slurm_is_refused(environment: dict[str, str], what: str) -> None:
    with pytest.raises(click.BadParameter, match=what):
        read_part("slurm", environment)


@pytest.mark.parametrize(
    ("name", "stage", "settings"),
    [
        ("policy.lane", "sample", {"policy": "batch"}),
        ("policy.lane", "run", {"policy": "batch"}),
        ("repair.engines.0.lane", "repair", {"first": "batch"}),
        ("repair.engines.1.lane", "run", {"second": "files"}),
    ],
)
def test_batches_and_files_are_refused_before_anything_is_read(
    name: str, stage: str, settings: dict[str, str], tmp_path: Path
) -> None:
    def make(role: str, price: float) -> dict[str, Any]:
        lane = settings.get(role, "online")
        server = {"engine": "openai", "model": role, "base_url": "http://127.0.0.1:1/v1"}
        return {**server, "lane": lane, "price": {"prompt": price}, "retokenize": True}

    tree = {
        "prompts": {"source": "demo", "count": 2},
        "policy": {**make("policy", 0.0), "tokenizer": "demo:policy"},
        "repair": {"engines": [make("first", 1.0), make("second", 2.0)]},
    }
    file = tmp_path / "my.yaml"
    file.write_text(yaml.safe_dump(tree))
    command = [stage, str(file), "--out", str(tmp_path / "run"), "--shared", "--no-check"]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 1
    assert name in result.output
    assert "without --shared" in result.output
    assert not (tmp_path / "run").exists()
