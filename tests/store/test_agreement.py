"""A run goes on with the settings it was made with, and says which ones differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.config.pipeline import Pipeline
from dfgen.errors import RunMismatchError
from dfgen.store.fingerprint import compare, compute_digest
from dfgen.store.finishing import finish_shard
from dfgen.store.layout import STAGES, Stage
from dfgen.store.run import Run
from tests.store.examples import (
    make_finished_run,
    make_mask,
    make_pipeline,
    make_prompt,
    make_reject,
    make_repair,
    make_trajectory,
)

FACTS: dict[Stage, dict[str, str]] = {
    "prompts": {},
    "sample": {"tokenizer": "t1", "chat_template": "h1"},
    "repair": {"prompt": "r1"},
    "mask": {},
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with prompts and trajectories, nothing repaired."""
    run = Run.open_or_create(tmp_path / "run", make_pipeline())
    run.check_stage("prompts", make_pipeline(), {})
    finish_shard(run, "prompts", 0, [make_prompt("p")])
    run.check_stage("sample", make_pipeline(), FACTS["sample"])
    finish_shard(run, "sample", 0, [make_trajectory("p", 0), make_trajectory("p", 1)])
    return run


def save(run: Run) -> None:
    """Write a manifest that was changed by hand."""
    (run.root / "run.json").write_text(run.manifest.model_dump_json())


def refuse(run: Run, stage: Stage, pipeline: Pipeline, facts: dict[str, str] | None = None) -> str:
    with pytest.raises(RunMismatchError) as caught:
        run.check_stage(stage, pipeline, FACTS[stage] if facts is None else facts)
    return str(caught.value)


def test_the_same_and_neutral_changes_go_on(run: Run) -> None:
    changed = make_pipeline(
        name="other",
        policy={"batch_size": 3, "device": "cuda"},
        workers=9,
        max_reject_ratio=0.5,
        repair={"engine": {"engine": "openai", "model": "strong", "base_url": "http://x/v1"}},
    )
    for pipeline in (make_pipeline(), changed):
        for stage in STAGES:
            run.check_stage(stage, pipeline, FACTS[stage])


def test_each_difference_is_named_with_both_values(run: Run) -> None:
    changed = make_pipeline(sample={"num_samples": 2, "temperature": 0.5, "stop": ["\n"]}, seed=4)
    message = refuse(run, "sample", changed)
    assert "sample.temperature: 1.0 -> 0.5" in message
    assert 'sample.stop: [] -> ["\\n"]' in message
    assert "seed: 0 -> 4" in message
    assert str(run.root) in message
    assert "another directory" in message
    assert "--redo sample" in message and "delete" not in message


def test_upstream_settings_count_for_every_later_stage(run: Run) -> None:
    changed = make_pipeline(sample={"num_samples": 2, "temperature": 0.5})
    assert "sample.temperature" in refuse(run, "repair", changed)
    assert "sample.temperature" in refuse(run, "mask", changed)


def test_downstream_settings_are_free_until_used(run: Run) -> None:
    changed = make_pipeline(mask={"steps": "lines"}, repair={"max_edit_ratio": 0.2})
    run.check_stage("sample", changed, FACTS["sample"])
    run.check_stage("repair", changed, FACTS["repair"])
    assert run.manifest.pipeline["mask"]["steps"] == "lines"


def test_another_engine_is_named_once(run: Run) -> None:
    changed = make_pipeline(policy={"engine": "openai", "model": "demo:policy"})
    message = refuse(run, "sample", changed)
    assert 'policy.engine: "transformers" -> "openai"' in message
    assert "policy.dtype" not in message


def test_facts_count_where_both_sides_know_them(run: Run) -> None:
    message = refuse(run, "sample", make_pipeline(), {"tokenizer": "t2"})
    assert "the tokenizer of the model that policy names has changed" in message
    assert "t1" not in message and "t2" not in message
    run.check_stage("sample", make_pipeline(), {})
    run.check_stage("sample", make_pipeline(), {"tokenizer": "t1", "weights": "w"})
    assert "weights" in refuse(run, "sample", make_pipeline(), {"weights": "v"})
    assert "chat template" in refuse(run, "sample", make_pipeline(), {"chat_template": "h2"})


def test_samples_may_grow_and_not_shrink(run: Run) -> None:
    grown = make_pipeline(sample={"num_samples": 4})
    run.set_stage("sample", state="done", counts={})
    run.check_stage("repair", grown, FACTS["repair"])
    assert run.is_done("sample", 0)
    run.check_stage("sample", grown, FACTS["sample"])
    assert run.manifest.stages["sample"].samples_history == [2, 4]
    assert run.manifest.stages["sample"].state == "running"
    assert not run.is_done("sample", 0)
    message = refuse(run, "sample", make_pipeline(sample={"num_samples": 3}))
    assert "sample.num_samples: 4 -> 3" in message
    run.check_stage("sample", grown, FACTS["sample"])
    assert run.manifest.stages["sample"].samples_history == [2, 4]


def test_where_prompts_come_from_is_never_compared(run: Run) -> None:
    """The prompts themselves are, row by row; also in a run that an earlier dfgen has made."""
    moved = make_pipeline(
        prompts={"source": "parquet", "path": "/elsewhere/q", "limit": 50, "shard_size": 7}
    )
    old = run.manifest.stages["sample"]
    old.fingerprint |= {"facts.prompts.content": "c0ffee", "prompts.limit": 3, "prompts.path": "q"}
    save(run)
    for stage in STAGES:
        assert run.find_differences(stage, moved, FACTS[stage]) == []
        run.check_stage(stage, moved, FACTS[stage])
    assert run.manifest.pipeline["prompts"]["limit"] == 50


def test_a_stage_without_files_takes_new_settings(run: Run) -> None:
    changed = make_pipeline(sample={"num_samples": 1, "temperature": 0.5})
    run.table("trajectories").remove(0)
    run.check_stage("sample", changed, {"tokenizer": "t2"})
    record = run.manifest.stages["sample"]
    assert record.fingerprint["sample.temperature"] == 0.5
    assert record.samples_history == [1]
    assert "facts.sample.chat_template" not in record.fingerprint


def test_rows_made_from_replaced_ones_are_noticed(tmp_path: Path) -> None:
    run = make_finished_run(tmp_path / "run")
    changed = make_pipeline(sample={"num_samples": 2, "temperature": 0.5})
    for shard in (0, 1):
        run.table("trajectories").remove(shard)
        run.rejects("sample").remove(shard)
    run.check_stage("sample", changed, {})
    finish_shard(run, "sample", 0, [make_trajectory("p0", 0)])
    assert "sample.temperature: 1.0 -> 0.5" in refuse(run, "repair", changed, {})
    assert run.manifest.pipeline["sample"]["temperature"] == 1.0


def test_repairs_added_to_a_run_without_a_repairer(run: Run) -> None:
    without = make_pipeline(repair={"engine": None})
    run.check_stage("mask", without, {})
    finish_shard(run, "mask", 0, [make_mask("p", 0, "outcome"), make_mask("p", 1, "outcome")])
    run.check_stage("mask", make_pipeline(), {})  # no row of it has been repaired
    run.check_stage("repair", make_pipeline(), FACTS["repair"])
    finish_shard(run, "repair", 0, [make_repair("p", 0)], [make_reject("repair", "p-1")])
    run.check_stage("mask", make_pipeline(), {})
    assert not run.is_done("mask", 0)
    message = refuse(run, "mask", without)
    assert 'repair.engine.model: "strong" -> (not set)' in message


def test_fields_that_an_older_dfgen_did_not_know_have_their_default() -> None:
    old = {"sample.temperature": 1.0, "policy.model": "m", "gone": 1}
    new = {"sample.temperature": 1.0, "policy.model": "m", "sample.top_k": 0, "sample.top_p": 0.9}
    assert [str(difference) for difference in compare(old, new)] == [
        "gone: 1 -> (not set)",
        "sample.top_p: 1.0 -> 0.9",
    ]


def test_digest_does_not_depend_on_order() -> None:
    assert compute_digest({"a": 1, "b": [2]}) == compute_digest({"b": [2], "a": 1})
    assert compute_digest({"a": 1}) != compute_digest({"a": 2})


def test_long_values_are_cut_in_messages(run: Run) -> None:
    changed = make_pipeline(sample={"num_samples": 2, "system": "x" * 5000})
    message = refuse(run, "sample", changed)
    assert "(5002 characters)" in message and len(message) < 1500
