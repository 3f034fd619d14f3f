"""`dfgen sample` with the demo's policy: figures, growth, retry of truncated samples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.store.run import Run
from dfgen.validate.audit import audit

pytest.importorskip("torch", reason="the demo's policy runs in torch: pip install '.[local]'")

RECIPE = Path(__file__).parents[2] / "pipelines" / "demo.yaml"
SMALL = ("--set=prompts.count=6", "--set=prompts.shard_size=4", "--set=sample.num_samples=2")


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, ["sample", str(RECIPE), *arguments])
    assert result.exit_code == code, result.output
    return result.output if code else result.stdout


def test_json_holds_counts_and_groups(tmp_path: Path) -> None:
    outcome = json.loads(run("--out", str(tmp_path / "run"), "--json", "--quiet", *SMALL))
    assert outcome["counts"]["sample"]["output"] == 12
    groups = outcome["groups"]
    assert groups["prompts"] == 6 and groups["trajectories"] == 12
    assert groups["all_right"] + groups["all_wrong"] + groups["mixed"] == 6
    assert sum(groups["pass_rate_histogram"]) == 6
    assert groups["tokens_per_second"] > 0 and groups["truncated_share"] == 0


def test_truncated_samples_are_drawn_again(tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "run"), "--json", "--quiet", *SMALL, "--set=sample.max_tokens=8")
    groups = json.loads(run(*out))["groups"]
    assert groups["truncated"] == 12 and groups["pass_rate"] == 0
    groups = json.loads(run(*out, "--retry", "length", "--retry-max-tokens", "80"))["groups"]
    assert groups["truncated"] == 0
    finished = Run.open_or_create(tmp_path / "run", None)
    assert audit(finished) == []
    for row in finished.table("trajectories").iter_rows():
        (earlier,) = json.loads(row["metadata"])["earlier_draws"]
        # The same seed: what was drawn before is how the new one begins.
        assert earlier["completion_tokens"] == 8 and earlier["continued"]


def test_a_limit_without_a_retry(tmp_path: Path) -> None:
    assert "--retry length" in run("--out", str(tmp_path), "--retry-max-tokens", "9", code=2)


def test_a_retry_with_a_smaller_limit(tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "run"), "--quiet", *SMALL)
    text = run(*out, "--retry", "length", "--retry-max-tokens", "9", code=1)
    assert "larger limit" in text
