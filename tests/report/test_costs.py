"""What repairing has cost: totals are sums of rows, and nothing that was paid for is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from dfgen.cli.main import cli
from dfgen.report import costs
from dfgen.report.costs import UNCLAIMED, UNKNOWN, measure_costs
from dfgen.report.stats import collect_numbers
from dfgen.stages.lanes import GIVEN_UP
from dfgen.stages.repair.spending import SpentCount, add_up
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
    found = measure_costs(run)
    attempts = list(iter_attempts(run))
    assert found["total"]["requests"] == len(attempts) > 0
    assert found["total"]["cost_usd"] == pytest.approx(sum(a["cost_usd"] for a in attempts))
    for way in ("by_model", "by_lane", "by_reason"):
        for name, value in found["total"].items():
            assert sum(sums[name] or 0 for sums in found[way].values()) == pytest.approx(value or 0)
    spent = SpentCount().count(run)
    assert (spent.requests, spent.unknown) == (len(attempts), 0)
    assert spent.cost_usd == pytest.approx(found["total"]["cost_usd"])
    assert found["accepted"] == collect_numbers(open_finished(run.root))["repairs"]["accepted"]
    assert found["cost_usd_per_accepted"] == pytest.approx(spent.cost_usd / found["accepted"])
    masks = [row for row in run.table("masks").iter_rows() if row["mask_source"] == "repair"]
    tokens = sum(sum(row["loss_mask"]) + sum(row["repair_mask"]) for row in masks)
    assert found["gradient_tokens"] == tokens > 0


def test_answers_that_nobody_asked_for_any_more_count_and_unknown_is_not_zero(
    tmp_path: Path,
) -> None:
    run = Run.open_or_create(make_full_run(tmp_path / "run"), None)
    before = SpentCount().count(run)
    facts = {"model": "m", "lane": "batch", "batch": "b", "reason": None}
    tokens = {"prompt_tokens": 10, "completion_tokens": 2, "cached_tokens": None}
    add_stray(run, custom_id="x", cost_usd=0.5, **facts, **tokens)
    add_stray(run, custom_id="y", cost_usd=None, **facts, **dict.fromkeys(tokens))
    spent, found = SpentCount().count(run), measure_costs(run)
    assert (spent.requests, spent.unknown) == (before.requests + 2, 1)
    assert spent.cost_usd == pytest.approx(before.cost_usd + 0.5)
    assert found["by_reason"][UNCLAIMED]["requests"] == 2
    assert found["by_lane"]["batch"] == found["by_reason"][UNCLAIMED]
    assert found["total"]["unknown"] == 1
    assert UNKNOWN not in found["by_reason"]


def test_the_command_prints_both_forms(run: Run) -> None:
    found = CliRunner().invoke(cli, ["stats", str(run.root), "--cost", "--json"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.output)["total"] == measure_costs(run)["total"]
    shown = CliRunner().invoke(cli, ["stats", str(run.root), "--cost"])
    assert shown.exit_code == 0, shown.output
    assert "by lane" in shown.output and "cost per gradient token" in shown.output


amounts = st.none() | st.integers(0, 10_000)
requests = st.fixed_dictionaries(
    {
        "prompt_tokens": amounts,
        "cached_tokens": amounts,
        "completion_tokens": amounts,
        "cost_usd": st.none() | st.floats(0, 10),
        "model": st.none() | st.sampled_from(["cheap", "dear"]),
        "lane": st.none() | st.sampled_from(["online", "batch", "files"]),
        "reason": st.none() | st.sampled_from(["accepted", "server_error", GIVEN_UP, UNCLAIMED]),
        "accepted": st.booleans(),
    }
)


@given(rows=st.lists(requests, max_size=30))
def test_every_total_is_the_sum_of_its_rows_and_what_nobody_knows_is_null(
    rows: list[dict[str, Any]], run: Run
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "iter_requests", lambda run: iter(rows))
        found = measure_costs(run)
    for name in ("prompt_tokens", "cached_tokens", "completion_tokens", "cost_usd"):
        known = [row[name] for row in rows if row[name] is not None]
        expected = pytest.approx(sum(known)) if known else None
        assert found["total"][name] == expected
        for way in ("model", "lane", "reason"):
            for key, sums in found[f"by_{way}"].items():
                part = [row[name] for row in rows if (row[way] or UNKNOWN) == key]
                known = [value for value in part if value is not None]
                assert sums[name] == (pytest.approx(sum(known)) if known else None)
                assert sums["requests"] == len(part)
    unknown = sum(row["cost_usd"] is None for row in rows)
    assert found["total"]["unknown"] == unknown
    assert add_up(row["cost_usd"] for row in rows).unknown == unknown
    assert (found["cost_usd_per_accepted"] is None) == (unknown == len(rows))
