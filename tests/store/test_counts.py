"""Counts add up, and `audit` finds every way in which they could fail to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dfgen.store.counts import count_reject_reasons, count_rows
from dfgen.store.finishing import finish_shard
from dfgen.store.layout import STAGES
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.store.examples import (
    make_finished_run,
    make_mask,
    make_pipeline,
    make_prompt,
    make_reject,
    make_repair,
    make_trajectory,
)

SHARD_1 = [("p2", 0), ("p2", 1), ("p3", 0), ("p3", 1)]


def write_samples(run: Run, *cells: tuple[str, int]) -> None:
    rows = [make_trajectory(name, n, right=n == 1) for name, n in cells]
    run.table("trajectories").write(1, rows)


def test_a_finished_run_is_sound_and_adds_up(tmp_path: Path) -> None:
    run = make_finished_run(tmp_path)
    assert audit(run) == []
    assert count_rows(run) == {
        "prompts": {"input": 5, "output": 4, "rejects": 1, "pending": 0},
        "sample": {"input": 8, "output": 7, "rejects": 1, "pending": 0},
        "repair": {"input": 3, "output": 2, "rejects": 1, "pending": 0},
        "mask": {"input": 7, "output": 6, "rejects": 1, "pending": 0},
    }
    assert count_reject_reasons(run) == {
        "prompts": {"image_corrupt": 1},
        "sample": {"too_long": 1},
        "repair": {"too_long": 1},
        "mask": {"too_long": 1},
    }


def test_an_empty_run_is_sound(tmp_path: Path) -> None:
    run = Run.open_or_create(tmp_path, make_pipeline())
    assert audit(run) == []
    assert set(count_rows(run)["mask"].values()) == {0}


def test_a_run_in_work_has_pending_rows(tmp_path: Path) -> None:
    run = make_finished_run(tmp_path)
    for stage in STAGES[1:]:
        run.set_stage(stage, state="running", counts={})
        run.output(stage).remove(1)
    run.rejects("mask").remove(1)
    assert audit(run) == []
    assert count_rows(run) == {
        "prompts": {"input": 5, "output": 4, "rejects": 1, "pending": 0},
        "sample": {"input": 8, "output": 3, "rejects": 1, "pending": 4},
        "repair": {"input": 1, "output": 0, "rejects": 1, "pending": 0},
        "mask": {"input": 3, "output": 3, "rejects": 0, "pending": 0},
    }


def test_without_a_repairer_wrong_rows_stay_pending(tmp_path: Path) -> None:
    run = make_finished_run(tmp_path)
    for shard in (0, 1):
        run.output("repair").remove(shard)
        run.rejects("repair").remove(shard)
        ledger = run.rejects("mask")
        refused = list(ledger.iter_rows(shard)) if ledger.exists(shard) else []
        finish_shard(run, "mask", shard, list(run.table("masks").iter_rows(shard)), refused)
    run.set_stage("repair", state="pending", counts={})
    assert audit(run) == []
    assert count_rows(run)["repair"]["pending"] == 3


def test_a_run_without_a_repairer_may_be_done(tmp_path: Path) -> None:
    run = Run.open_or_create(tmp_path, make_pipeline(repair={"engine": None}))
    finish_shard(run, "prompts", 0, [make_prompt("p")])
    finish_shard(run, "sample", 0, [make_trajectory("p", n) for n in range(2)])
    finish_shard(run, "mask", 0, [make_mask("p", n, "outcome") for n in range(2)])
    for stage in STAGES:
        run.set_stage(stage, state="done", counts=count_rows(run)[stage])
    assert audit(run) == []
    assert count_rows(run)["repair"]["pending"] == 2


def test_an_imported_run_has_the_cells_it_was_given(tmp_path: Path) -> None:
    run = Run.open_or_create(tmp_path, make_pipeline())
    finish_shard(run, "prompts", 0, [make_prompt("p"), make_prompt("q")])
    rows = [make_trajectory("p", n) for n in range(3)] + [make_trajectory("q", 0)]
    finish_shard(run, "sample", 0, rows, [make_reject("sample", "answers.jsonl:4")])
    run.set_stage("sample", state="done", counts={"output": 4, "rejects": 1}, cells=5)
    assert audit(run) == []
    assert count_rows(run)["sample"] == {"input": 5, "output": 4, "rejects": 1, "pending": 0}
    assert run.is_done("sample", 0)
    run.set_stage("sample", state="done", counts={}, cells=6)
    assert "1 rows are pending" in audit(run)[0]
    run.set_stage("sample", state="done", counts={}, cells=4)
    assert "4 rows and 1 rejects were made of 4" in audit(run)[0]


def test_an_import_that_has_not_reported_yet_is_sound(tmp_path: Path) -> None:
    imports = {"path": "answers.jsonl", "tokenizer": "t"}
    pipeline = make_pipeline(prompts=None, policy=None, imports=imports)
    run = Run.open_or_create(tmp_path, pipeline)
    run.check_stage("prompts", pipeline, {})
    run.check_stage("sample", pipeline, {})
    run.set_stage("sample", state="running", counts={}, cells=0)
    finish_shard(run, "prompts", 0, [make_prompt("p")])
    finish_shard(run, "sample", 0, [make_trajectory("p", n) for n in range(3)])
    assert audit(run) == []
    assert run.is_done("sample", 0)
    assert count_rows(run)["sample"]["input"] == 3


def lose_prompts(run: Run) -> None:
    run.table("prompts").remove(1)


def double_prompt(run: Run) -> None:
    run.table("prompts").write(1, [make_prompt("p1"), make_prompt("p3")])


def double_source(run: Run) -> None:
    run.rejects("prompts").write(0, [make_reject("prompts", "questions.jsonl:3")])


def lose_sample(run: Run) -> None:
    write_samples(run, *SHARD_1[:-1])


def double_sample(run: Run) -> None:
    write_samples(run, *SHARD_1, SHARD_1[-1])


def swap_samples(run: Run) -> None:
    write_samples(run, *reversed(SHARD_1))


def invent_sample(run: Run) -> None:
    write_samples(run, *SHARD_1, ("p3", 2))


def sample_of_no_prompt(run: Run) -> None:
    write_samples(run, *SHARD_1, ("p9", 0))


def sample_in_both(run: Run) -> None:
    run.rejects("sample").write(1, [make_reject("sample", "p3-1")])


def reject_of_no_sample(run: Run) -> None:
    run.rejects("sample").write(1, [make_reject("sample", "p3-7")])


def double_reject(run: Run) -> None:
    run.rejects("sample").write(0, [make_reject("sample", "p0-0")] * 2)


def reject_of_another_stage(run: Run) -> None:
    run.rejects("sample").write(0, [make_reject("mask", "p0-0")])


def lose_rejects(run: Run) -> None:
    run.rejects("sample").remove(0)


def lose_shard(run: Run) -> None:
    run.table("trajectories").remove(1)


def wrong_id(run: Run) -> None:
    rows = [make_trajectory(*cell) for cell in SHARD_1]
    rows[2].trajectory_id = "p3-5"
    run.table("trajectories").write(1, rows)


def repair_of_right(run: Run) -> None:
    run.table("repairs").write(1, [make_repair(name, n) for name, n in SHARD_1])


def lose_repair(run: Run) -> None:
    run.table("repairs").write(1, [make_repair("p2", 0)])


def lose_repairs_shard(run: Run) -> None:
    run.table("repairs").remove(1)


def lose_mask(run: Run) -> None:
    run.table("masks").write(1, [make_mask("p2", 0, "repair"), make_mask("p3", 0, "repair")])


def unused_repair(run: Run) -> None:
    rows = [make_mask("p2", 0, "outcome"), make_mask("p3", 0, "repair"), make_mask("p3", 1)]
    run.table("masks").write(1, rows)


def shard_of_nothing(run: Run) -> None:
    run.table("masks").write(8, [])


def damaged_shard(run: Run) -> None:
    path = run.table("trajectories").path(1)
    path.write_bytes(path.read_bytes()[:-30])


def damaged_journal(run: Run) -> None:
    with run.journal("sample", 1) as journal:
        for n in range(3):
            journal.append([{"n": n}])
            journal.sync()
    journal.path.write_bytes(journal.path.read_bytes().replace(b'"n":1', b'"n":8'))


def wrong_report(run: Run) -> None:
    run.set_stage("mask", state="done", counts={"output": 7})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lose_prompts, "no shard 1 of the prompts"),
        (double_prompt, "prompt p1 is there twice"),
        (double_source, "row questions.jsonl:3 is there twice"),
        (lose_sample, "neither here nor rejected: p3-1"),
        (double_sample, "more than once: p3-1"),
        (swap_samples, "not in the order"),
        (invent_sample, "of unknown origin: p3-2"),
        (sample_of_no_prompt, "p9-0 belongs to no prompt"),
        (sample_in_both, "p3-1 is in the trajectories, too"),
        (reject_of_no_sample, "of unknown origin: p3-7"),
        (double_reject, "more than once: p0-0"),
        (reject_of_another_stage, "p0-0 was rejected by mask"),
        (lose_rejects, "neither here nor rejected: p0-0"),
        (lose_shard, "its trajectories are not there"),
        (wrong_id, "p3-5 belongs to prompt p3, sample 0"),
        (repair_of_right, "of unknown origin: p2-1, p3-1"),
        (lose_repair, "neither here nor rejected: p3-0"),
        (lose_repairs_shard, "repair: is said to be done, but 2 rows are pending"),
        (lose_mask, "neither here nor rejected: p3-1"),
        (unused_repair, "no mask made of them, such as that of p2-0"),
        (shard_of_nothing, "no shard 8 of the prompts"),
        (damaged_shard, "not the Parquet file that dfgen wrote"),
        (damaged_journal, "damaged in its middle"),
        (wrong_report, "mask: reported 7 output, but the files hold 6"),
    ],
)
def test_every_kind_of_damage_is_found(
    tmp_path: Path, damage: Callable[[Run], None], message: str
) -> None:
    run = make_finished_run(tmp_path)
    damage(run)
    violations = audit(run)
    assert any(message in violation for violation in violations), violations


def test_a_loss_after_growth_is_still_found(tmp_path: Path) -> None:
    run = make_finished_run(tmp_path)
    run.check_stage("sample", make_pipeline(sample={"num_samples": 4}), {})
    assert audit(run) == []
    write_samples(run, *SHARD_1[:-1])
    assert any("p3-1" in violation for violation in audit(run))
    write_samples(run, *[(name, n) for name in ("p2", "p3") for n in range(4)][:-1])
    assert any("p3-3" in violation for violation in audit(run))
