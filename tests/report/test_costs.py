"""What repairing has cost: totals are sums of rows, and nothing that was paid for is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.report.costs import UNCLAIMED, UNKNOWN, measure_costs
from dfgen.report.stats import collect_numbers
from dfgen.stages.repair.spending import SpentCount
from dfgen.store.finished import open_finished
from dfgen.store.run import Run
from tests.support.full_run import make_full_run
from tests.support.paid_attempts import iter_attempts


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run.open_or_create(make_full_run(tmp_path_factory.mktemp("costs") / "run"), None)


def add_stray(run: Run, **facts: object) -> None:
    log = run.outgoing("repair")
    with run.lock():
        log.append([{"event": "stray", "at": "2026-11-26T00:00:00+00:00", **facts}])
        log.close()


def test_totals_are_the_sums_of_rows_whatever_they_are_split_by(run: Run) -> None:
    costs = measure_costs(run)
    attempts = list(iter_attempts(run))
    assert costs["total"]["requests"] == len(attempts) > 0
    assert costs["total"]["cost_usd"] == pytest.approx(sum(a["cost_usd"] for a in attempts))
    for way in ("by_model", "by_lane", "by_reason"):
        for name, value in costs["total"].items():
            assert sum(sums[name] for sums in costs[way].values()) == pytest.approx(value)
    spent = SpentCount().count(run)
    assert (spent.requests, spent.unknown) == (len(attempts), 0)
    assert spent.cost_usd == pytest.approx(costs["total"]["cost_usd"])
    assert costs["accepted"] == collect_numbers(open_finished(run.root))["repairs"]["accepted"]
    assert costs["cost_usd_per_accepted"] == pytest.approx(spent.cost_usd / costs["accepted"])
    masks = [row for row in run.table("masks").iter_rows() if row["mask_source"] == "repair"]
    tokens = sum(sum(row["loss_mask"]) + sum(row["repair_mask"]) for row in masks)
    assert costs["gradient_tokens"] == tokens > 0


def test_answers_that_nobody_asked_for_any_more_count_and_unknown_is_not_zero(
    tmp_path: Path,
) -> None:
    run = Run.open_or_create(make_full_run(tmp_path / "run"), None)
    before = SpentCount().count(run)
    facts = {"model": "m", "lane": "batch", "batch": "b", "reason": None}
    tokens = {"prompt_tokens": 10, "completion_tokens": 2, "cached_tokens": None}
    add_stray(run, custom_id="x", cost_usd=0.5, **facts, **tokens)
    add_stray(run, custom_id="y", cost_usd=None, **facts, **dict.fromkeys(tokens))
    spent, costs = SpentCount().count(run), measure_costs(run)
    assert (spent.requests, spent.unknown) == (before.requests + 2, 1)
    assert spent.cost_usd == pytest.approx(before.cost_usd + 0.5)
    assert costs["by_reason"][UNCLAIMED]["requests"] == 2
    assert costs["by_lane"]["batch"] == costs["by_reason"][UNCLAIMED]
    assert costs["total"]["unknown"] == 1
    assert UNKNOWN not in costs["by_reason"]


def test_the_command_prints_both_forms(run: Run) -> None:
    found = CliRunner().invoke(cli, ["stats", str(run.root), "--cost", "--json"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.output)["total"] == measure_costs(run)["total"]
    shown = CliRunner().invoke(cli, ["stats", str(run.root), "--cost"])
    assert shown.exit_code == 0, shown.output
    assert "by lane" in shown.output and "cost per gradient token" in shown.output
