"""Makes, runs and reads small scored runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner, Result

from dfgen.cli.main import cli
from dfgen.config.load import check_pipeline
from dfgen.config.pipeline import Pipeline
from dfgen.runners.local import run_stages
from dfgen.stages.session import Session
from dfgen.store.run import Run

RECIPE = Path(__file__).parents[3] / "pipelines" / "demo.yaml"


def make_pipeline(**changes: dict[str, Any]) -> Pipeline:
    """The demo's pipeline, made small: two shards, batches that end at odd places."""
    tree = yaml.safe_load(RECIPE.read_text("utf-8"))
    tree["prompts"] |= {"count": 12, "shard_size": 6}
    tree["sample"] |= {"num_samples": 4}
    tree["policy"]["batch_size"] = tree["repair"]["engine"]["batch_size"] = 7
    for section, values in changes.items():
        tree[section] = {**tree.get(section, {}), **values}
    return check_pipeline(tree, "test")


def run_stages_of(root: Path, pipeline: Pipeline, *stages: str) -> Run:
    """Run stages as the command does."""
    run = Run.open_or_create(root, pipeline)
    with run.lock():
        assert run_stages(Session(run, pipeline), stages)
    return run


def call(*arguments: str | Path, code: int = 0) -> Result:
    """Call the command; what it says on both streams is in `output`."""
    result = CliRunner().invoke(cli, [str(each) for each in arguments])
    assert result.exit_code == code, result.output or result.exception
    return result


def read(root: Path, table: str) -> dict[str, dict[str, Any]]:
    """Rows of a table by trajectory_id, in order."""
    run = Run.open_or_create(root, None)
    return {row["trajectory_id"]: row for row in run.table(table).iter_rows()}


def read_files(root: Path, *folders: str) -> dict[str, bytes]:
    """Every file of some folders by its name."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for folder in folders
        for path in sorted((root / folder).glob("*.parquet"))
    }
