"""`dfgen value` on real runs of the demo: what it draws and writes, and how it goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfgen.engines.base import Engine, EngineInfo, Request, Result
from dfgen.errors import EngineError
from dfgen.records import is_right
from dfgen.report.stats import collect_numbers
from dfgen.stages.registry import run_shard
from dfgen.stages.session import Session
from dfgen.stages.value.blame import find_runs
from dfgen.stages.value.stage import ValueStage
from dfgen.stages.value.summary import measure_run
from dfgen.stages.work import Tools, open_graders
from dfgen.store.finished import open_finished
from dfgen.store.finishing import finish_shard
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.stages.score.running import call, read, run_stages_of
from tests.stages.value.running import BATCH, make_pipeline


class Counting:
    """A real engine that notes what it is asked, and fails after some of it if it should."""

    def __init__(self, engine: Engine, die_after: int | None = None) -> None:
        self.engine = engine
        self.die_after = die_after
        self.asked: list[Request] = []

    @property
    def info(self) -> EngineInfo:
        return self.engine.info

    def generate(self, requests: Iterable[Request]) -> Iterator[list[Result]]:
        def count() -> Iterator[Request]:
            for request in requests:
                if len(self.asked) == self.die_after:
                    raise EngineError("the engine has died.")
                self.asked.append(request)
                yield request

        return self.engine.generate(count())

    def close(self) -> None:
        """The real one goes on."""


def value_all(root: Path, engine: Any, **settings: Any) -> Run:
    """Value a run with an engine that is there already."""
    pipeline = make_pipeline(value={"enabled": True, "draws": 2, **settings})
    run = Run.open_or_create(root, None)
    with run.lock(), open_graders(pipeline.grade) as graders:
        for shard in Session(run, pipeline).list_unfinished("value"):
            run_shard(run, "value", shard, Tools(pipeline, engine, graders))
    return run


def list_mixed(root: Path) -> set[str]:
    """Wrong answers with a repair whose group has right ones."""
    rows = read(root, "trajectories")
    right = {row["prompt_id"] for row in rows.values() if is_right(row["reward"])}
    return {key for key in read(root, "repairs") if rows[key]["prompt_id"] in right}


def test_values_are_shares_of_graded_continuations(root: Path, policy: Engine) -> None:
    engine = Counting(policy)
    run = value_all(root, engine)
    values, masks = read(root, "values"), read(root, "masks")
    assert values.keys() == list_mixed(root) and len(values) > 4
    assert len({request.key for request in engine.asked}) == len(engine.asked)
    assert len({request.seed for request in engine.asked}) == len(engine.asked)
    assert {request.decoding.temperature for request in engine.asked} == {1.0}
    assert sum(row["drawn"] for row in values.values()) == len(engine.asked)
    limit = make_pipeline().sample.max_tokens
    for request in engine.asked:
        assert request.decoding.max_tokens + len(request.prefix_ids) == limit
    for key, row in values.items():
        mask = masks[key]
        own = next(blame for blame in row["blame"] if blame["mask"] == "dfgen")
        assert own["tokens"] == sum(mask["loss_mask"]) and row["tokens"] == len(mask["loss_mask"])
        points = {(p["side"], p["index"]): p for p in row["value_points"]}
        for point in points.values():
            if point["draws"]:
                assert point["draws"] == 2
                assert point["value"] == pytest.approx(point["right"] / 2)
            else:
                assert (point["side"], point["index"], point["value"]) in (
                    ("wrong", row["tokens"], 0.0),
                    ("repair", len(mask["repair_ids"]), 1.0),
                )
        runs = find_runs(mask["loss_mask"])
        falls = [points["wrong", a]["value"] - points["wrong", b]["value"] for a, b in runs]
        assert own["captured"] == pytest.approx(sum(falls), abs=1e-6)
        assert row["value_start"] == points["wrong", 0]["value"]
        suffix = next(blame for blame in row["blame"] if blame["mask"] == "suffix")
        assert suffix["captured"] == pytest.approx(points["wrong", runs[0][0]]["value"])
    run.set_stage("value", state="done", counts={})
    assert audit(run) == []


def test_hunks_and_masks_hold_the_values(root: Path) -> None:
    before = read(root, "masks")
    result = call("value", root, "--set", "value.draws=2", "--set", "value.repaired=all")
    assert "The masks hold the values." in result.output
    values, masks = read(root, "values"), read(root, "masks")
    assert masks.keys() == before.keys()
    for key, row in masks.items():
        if key not in values:
            assert row["hunk_values"] is row["value_start"] is None
            continue
        assert row["hunk_values"] == values[key]["hunk_values"]
        hunks = json.loads(row["hunks"])
        assert len(hunks) == len(row["hunk_values"])
        for hunk, value in zip(hunks, row["hunk_values"], strict=True):
            if value["start"] is None:
                assert not hunk["in_mask"]
                continue
            assert any(row["loss_mask"][value["start"] : value["end"]])
            drop = value["value_before"] - value["value_wrong"]
            assert value["value_drop"] == pytest.approx(drop, abs=1e-6)
            gain = value["value_repaired"] - value["value_wrong"]
            assert value["value_gain"] == pytest.approx(gain, abs=1e-6)
    same = ("loss_mask", "weights", "hunks", "repair_ids")
    for key, row in before.items():
        assert {name: row[name] for name in same} == {name: masks[key][name] for name in same}
    blame = Run.open_or_create(root, None).manifest.get_stage("value").facts["blame"]
    assert blame["trajectories"] == len(values)
    told = json.loads(call("stats", root, "--json").output)["blame"]
    assert told == blame and told["dfgen"]["capture"]["estimate"] is not None
    assert {"lowest_logprob", "random", "first_token", "first_step", "suffix"} < told.keys()
    call("validate", root)


def test_value_weights_of_a_run(root: Path, policy: Engine) -> None:
    value_all(root, Counting(policy), controls=False)
    pipeline = make_pipeline(value={"enabled": True, "draws": 2}, mask={"value": "alone"})
    shutil.rmtree(root / "masks")
    for entry in (root / "journal").glob("mask-*"):
        entry.unlink()
    manifest = json.loads((root / "run.json").read_text())
    manifest["stages"].pop("mask")
    (root / "run.json").write_text(json.dumps(manifest))
    run_stages_of(root, pipeline, "mask")
    masks = read(root, "masks")
    weighed = 0
    for row in masks.values():
        if not row["value_start"]:
            assert row["weights"] is None
            continue
        weighed += 1
        drops = [max(v["value_drop"] or 0, 0) / row["value_start"] for v in row["hunk_values"]]
        assert max(row["weights"]) == pytest.approx(min(1, max(drops)), abs=1e-6)
        assert not any(w for w, m in zip(row["weights"], row["loss_mask"], strict=True) if not m)
    assert weighed


def test_a_dry_run_counts_and_writes_nothing(root: Path, policy: Engine) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    options = ("--set", "value.draws=2")
    told = json.loads(call("value", root, *options, "--dry-run", "--json").output)["estimate"]
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert told["wrong_answers"] == len(list_mixed(root))
    engine = Counting(policy)
    value_all(root, engine)
    assert told["continuations"] == len(engine.asked) == told["prefixes"] * 2
    again = json.loads(call("value", root, *options, "--dry-run", "--json").output)["estimate"]
    assert set(again.values()) == {0}


def test_a_limit_picks_by_chance_and_the_same_again(root: Path, policy: Engine) -> None:
    some = value_all(root, Counting(policy), limit=3, controls=False)
    picked = read(root, "values").keys()
    assert len(picked) == 3 and picked < list_mixed(root)
    for path in (root / "values").glob("*"):
        path.unlink()
    assert not some.is_done("value", 0)
    value_all(root, Counting(policy), limit=3, controls=False)
    assert read(root, "values").keys() == picked


@pytest.mark.parametrize(("fewest", "filled"), [(2, [False, True]), (None, [True, True])])
def test_a_narrow_interval_ends_it_early_but_not_that_of_a_few_prompts(
    root: Path,
    policy: Engine,
    monkeypatch: pytest.MonkeyPatch,
    fewest: int | None,
    filled: list[bool],
) -> None:
    """Two prompts that fare alike have an interval without width, by chance."""
    if fewest is not None:
        monkeypatch.setattr("dfgen.stages.value.summary.FEWEST_PROMPTS", fewest)
    pipeline = make_pipeline(value={"enabled": True, "draws": 2, "max_interval": 9.0})
    run = Run.open_or_create(root, None)
    with run.lock(), open_graders(pipeline.grade) as graders:
        session = Session(run, pipeline)
        for shard in session.list_unfinished("value"):
            run_shard(run, "value", shard, Tools(pipeline, policy, graders))
    sizes = [run.table("values").num_rows(shard) for shard in run.table("values").shards()]
    assert sorted(map(bool, sizes)) == filled
    assert run.is_done("value", 0) and run.is_done("value", 1)


def test_what_was_drawn_is_not_drawn_again(root: Path, policy: Engine, tmp_path: Path) -> None:
    """An engine that dies in the middle costs what was in flight; the values are the same."""
    other = Path(shutil.copytree(root, tmp_path / "other"))
    whole = Counting(policy)
    value_all(root, whole)
    dying = Counting(policy, die_after=len(whole.asked) // 2)
    with pytest.raises(EngineError):
        value_all(other, dying)
    assert list((other / "journal").glob("value-*"))
    rest = Counting(policy)
    value_all(other, rest)
    assert len(rest.asked) <= len(whole.asked) - len(dying.asked) + BATCH
    assert read(other, "values") == read(root, "values"), "a seed for every continuation"


def test_answers_that_changed_are_drawn_on_and_the_others_recalled(
    root: Path, policy: Engine
) -> None:
    value_all(root, Counting(policy))
    before = read(root, "values")
    run = Run.open_or_create(root, None)
    with run.lock():
        rows = list(run.table("trajectories").iter_rows(0))
        touched = next(row for row in rows if row["trajectory_id"] in before)
        touched["logprobs"] = [-x for x in range(len(touched["logprobs"]))]
        finish_shard(run, "sample", 0, rows)
    assert not run.is_done("value", 0)
    engine = Counting(policy)
    value_all(root, engine)
    assert {request.key.partition("/")[0] for request in engine.asked} <= {touched["prompt_id"]}
    after = read(root, "values")
    for key, row in after.items():
        if key != touched["trajectory_id"]:
            assert row["value_points"] == before[key]["value_points"]
    lowest = next(b for b in after[touched["trajectory_id"]]["blame"] if b["mask"] == "dfgen")
    assert lowest == next(
        b for b in before[touched["trajectory_id"]]["blame"] if b["mask"] == "dfgen"
    )


def test_a_placeholder_in_a_prefix_is_a_reject_and_its_mask_stays(root: Path, policy: Any) -> None:
    """At temperature 1 a policy may draw the id that stands for a picture."""
    run = Run.open_or_create(root, None)
    masks = read(root, "masks")
    key = next(
        key
        for key in sorted(list_mixed(root))
        if np.flatnonzero(masks[key]["loss_mask"])[0] > 1
        and key in {row["trajectory_id"] for row in run.table("trajectories").iter_rows(0)}
    )
    with run.lock():
        rows = list(run.table("trajectories").iter_rows(0))
        row = next(row for row in rows if row["trajectory_id"] == key)
        session = Session(run, make_pipeline())
        placeholder = policy._loaded.parts.image_token_id
        row["completion_ids"][0] = placeholder
        row["completion"] = session.tokenizer.decode(row["completion_ids"])
        finish_shard(run, "sample", 0, rows)
    run = value_all(root, Counting(policy))
    rejects = {row["row_id"]: row for row in run.rejects("value").iter_rows()}
    assert rejects[key]["reason"] == "ids_invalid"
    assert key not in read(root, "values")


def test_an_answer_without_room_to_end_is_a_reject_until_it_may_be_longer(
    root: Path, policy: Engine
) -> None:
    """As imported and retried answers may be: each V near its end would be 0 for length alone."""
    lengths = {key: len(row["completion_ids"]) for key, row in read(root, "trajectories").items()}
    wrong = list_mixed(root)
    longest = max(lengths[key] for key in wrong)
    engine = Counting(policy)
    run = value_all(root, engine, max_tokens=longest - 1, controls=False)
    rejects = {row["row_id"]: row for row in run.rejects("value").iter_rows()}
    assert {key for key in wrong if lengths[key] == longest} <= rejects.keys() <= wrong
    assert read(root, "values").keys() == wrong - rejects.keys()
    assert {row["reason"] for row in rejects.values()} == {"answer_over_length"}
    assert "value.max_tokens" in next(iter(rejects.values()))["detail"]
    shutil.rmtree(root / "values")
    run = value_all(root, engine, max_tokens=longest, controls=False)
    assert read(root, "values").keys() == wrong and engine.asked
    for request in engine.asked:
        assert request.decoding.max_tokens + len(request.prefix_ids) == longest
        assert request.decoding.max_tokens > 0


def test_figures_of_other_masks_or_answers_are_left_out(root: Path, policy: Engine) -> None:
    run = value_all(root, Counting(policy), controls=False)
    facts = ValueStage().list_facts(Session(run, make_pipeline()))
    with run.lock():
        run.check_stage("value", make_pipeline(value={"enabled": True, "draws": 2}), facts)
        run.set_stage("value", state="done", counts={}, blame=measure_run(run))
    opened = open_finished(root)
    assert collect_numbers(opened)["blame"]["trajectories"] == len(list_mixed(root))
    other = replace(opened, pipeline=make_pipeline(mask={"insertion_anchor": "both"}))
    numbers = collect_numbers(other)
    assert "blame" not in numbers and "other settings" in numbers["left_out"][-1]
    same = replace(opened, pipeline=make_pipeline(mask={"consequence_weight": 0.5}))
    assert "blame" in collect_numbers(same), "the same tokens are marked"
    with run.lock():
        rows = list(run.table("repairs").iter_rows(0))
        finish_shard(run, "repair", 0, rows[1:])
    numbers = collect_numbers(open_finished(root))
    assert "blame" not in numbers and "have changed" in numbers["left_out"][-1]


def test_values_of_masks_that_are_made_otherwise_now_are_not_added_to(root: Path) -> None:
    """Whatever is drawn then would belong to other masks than what is there."""
    options = ("--set", "value.draws=1", "--set", "value.controls=false", "--no-masks")
    call("value", root, *options)
    call("mask", root, "--redo", "mask", "--set", "mask.insertion_anchor=both")
    result = call("value", root, *options, code=1)
    assert "masks mark tokens have changed" in result.output and "--redo value" in result.output
    assert "left out" in call("stats", root).output


def test_another_grader_leaves_no_value_of_the_old_one(root: Path) -> None:
    """Continuations' texts are not kept, so nobody can grade them anew."""
    options = ("--set", "value.draws=1", "--set", "value.controls=false")
    call("value", root, *options)
    count = len(read(root, "values"))
    assert any(row["hunk_values"] for row in read(root, "masks").values())
    grade = ("--set", "grade.absolute_tolerance=1.5", "--json")
    told = json.loads(call("regrade", root, *grade, "--dry-run").stdout)["changes"]
    assert told["values"] == {"kept": 0, "set_aside": count} and len(read(root, "values")) == count
    done = json.loads(call("regrade", root, *grade).stdout)["changes"]
    assert done == told
    assert not read(root, "values") and not list((root / "values").glob("*"))
    assert not any(row["hunk_values"] for row in read(root, "masks").values())
    assert list((root / "history").glob("*/values/*.parquet"))
    assert "blame" not in json.loads(call("stats", root, "--json").stdout)
    left = json.loads(call("value", root, *options, "--dry-run", "--json").stdout)["estimate"]
    assert left["continuations"] > 0, "nothing is recalled"
    call("run", root)
    call("value", root, *options)
    call("validate", root)
    again = json.loads(call("regrade", root, "--json").stdout)["changes"]
    assert again["values"]["set_aside"] == 0, "the same grader says the same"
    assert read(root, "values")
