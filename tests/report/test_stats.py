from __future__ import annotations

from pathlib import Path

from dfgen.report.card import list_mask_figures
from dfgen.report.stats import collect_numbers, measure_distributions, measure_masks
from dfgen.store.finished import open_finished
from dfgen.store.finishing import finish_shard
from tests.store import examples
from tests.store.examples import make_finished_run


def test_distributions_add_up_to_the_totals(sample_run: Path) -> None:
    numbers = collect_numbers(open_finished(sample_run))
    spread = numbers["distributions"]
    masks, repairs, groups = numbers["masks"], numbers["repairs"], numbers["groups"]
    position = spread["mask_by_position"]
    assert sum(position["tokens"]) == masks["repaired_tokens"]
    assert sum(position["masked"]) == round(masks["masked_share"] * masks["repaired_tokens"])
    assert sum(spread["edit_ratio_histogram"]) == repairs["accepted"]
    outcomes = spread["attempts_by_outcome"].values()
    assert sum(sums["attempts"] for sums in outcomes) == repairs["attempts"]
    assert abs(sum(sums["cost_usd"] for sums in outcomes) - repairs["cost_usd"]) < 1e-9
    course = spread["cost_by_shard"]
    assert [(each["first"], each["last"]) for each in course] == [(0, 0)]
    assert abs(sum(each["cost_usd"] for each in course) - repairs["cost_usd"]) < 1e-9
    assert sum(each["requests"] for each in course) == repairs["attempts"]
    assert len(spread["right_per_group"]) == 5
    assert sum(spread["right_per_group"]) == groups["prompts"]
    assert spread["right_per_group"][-1] == groups["all_right"]


def test_a_run_without_repairs_has_empty_ones(tmp_path: Path) -> None:
    from dfgen.store.run import Run
    from tests.store.examples import make_pipeline

    run = Run.open_or_create(tmp_path / "run", make_pipeline())
    spread = measure_distributions(run)
    assert spread["right_per_group"] is None
    assert spread["attempts_by_outcome"] == {}
    assert spread["cost_by_shard"] == []
    uneven = measure_distributions(make_finished_run(tmp_path / "other"))
    assert uneven["right_per_group"] is None  # one prompt lost a sample, so K is not one number


def test_repairs_without_loss_are_counted_kept_or_rejected(tmp_path: Path) -> None:
    run = make_finished_run(tmp_path / "run")
    before = measure_masks(run)["empty_repairs"]
    masks = list(run.table("masks").iter_rows(1))
    changed = [row for row in masks if row["mask_source"] == "repair"]
    changed[0]["loss_mask"] = [False] * len(changed[0]["loss_mask"])
    rejects = [examples.make_reject("mask", "p2-1", "mask_empty")]
    finish_shard(run, "mask", 1, masks, rejects)
    numbers = measure_masks(run)
    assert (before, numbers["empty_repairs"]) == (0, 2)
    figures = list_mask_figures({"numbers": {"masks": numbers}})
    assert "| accepted repairs that leave no token to learn from | 2 |" in figures
