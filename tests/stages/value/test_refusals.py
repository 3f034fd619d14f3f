"""What cannot be drawn on from is refused with a sentence, before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dfgen.errors import ConfigError, InvalidDataError
from dfgen.stages.mask.rows import prepare_repaired
from dfgen.store.run import Run
from tests.stages.score.running import call
from tests.stages.value.running import make_pipeline
from tests.support.loopback import (
    LoopbackServer,
    Received,
    Reply,
    write_completion,
    write_error,
)


@pytest.fixture
def nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine may be opened."""

    def refuse(config: Any) -> None:
        raise AssertionError(f"{config} is loaded")

    monkeypatch.setattr("dfgen.engines.loading.load_engine", refuse)


@pytest.mark.parametrize("status", [200, 400])
def test_a_server_that_does_not_go_on_is_told_from_one_that_does(root: Path, status: int) -> None:
    """It leaves `continue_final_message` unread, or refuses it; either way nothing is drawn."""

    def answer(received: Received) -> Reply:
        if status == 400 and "continue_final_message" in received.payload:
            return Reply(write_error("unknown field"), status)
        return Reply(write_completion("Answer: 3"))

    with LoopbackServer(answer) as server:
        engine = f"value.engine={{engine: openai, model: m, base_url: '{server.url}'}}"
        result = call("value", root, "--set", engine, code=1)
        asked = [r for r in server.received if r.payload["messages"][-1]["role"] == "assistant"]
    assert "does not go on after the beginning of an answer" in result.output
    assert "engine: vllm" in result.output
    assert {r.payload["max_tokens"] for r in asked} == {1}, "only whether it would"
    assert not list((root / "values").glob("*"))


@pytest.mark.usefixtures("nothing_is_loaded")
def test_masks_of_pairs_and_carried_over_masks_have_no_answers(root: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"id": "a", "wrong": "2 + 2 = 5", "right": "2 + 2 = 4"}) + "\n")
    call("mask", "--pairs", pairs, "--tokenizer", "demo:policy", "--out", tmp_path / "pairs")
    call("retokenize", root, "--tokenizer", "demo:policy", "--out", tmp_path / "other")
    for name in ("pairs", "other"):
        result = call("value", tmp_path / name, code=1)
        assert "there is nothing to draw on from" in result.output
        assert "blame" not in call("stats", tmp_path / name, "--json").output


@pytest.mark.usefixtures("nothing_is_loaded")
def test_nothing_was_drawn_yet(tmp_path: Path) -> None:
    run = Run.open_or_create(tmp_path / "run", make_pipeline())
    result = call("value", run.root, code=1)
    assert "the sample stage has not finished any shard" in result.output


@pytest.mark.usefixtures("nothing_is_loaded")
def test_other_sections_are_not_this_commands(root: Path) -> None:
    result = call("value", root, "--set", "sample.temperature=.5", code=1)
    assert "only the value section" in result.output
    assert "sample.temperature: 1.0 -> 0.5" in result.output


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"value": {"enabled": True, "draws": 0}}, "greater than 0"),
        ({"value": {"enabled": True, "repaired": "none"}}, "first"),
        ({"value": {"enabled": True}, "sample": {"temperature": 0}}, "value.temperature to 1"),
        ({"mask": {"value": "yes"}}, "alone"),
    ],
)
def test_values_that_mean_nothing(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_pipeline(**changes)


def test_values_of_other_hunks_are_not_taken_over(root: Path) -> None:
    from dfgen.records import Repair, Trajectory
    from dfgen.stages.session import Session

    run, pipeline = Run.open_or_create(root, None), make_pipeline()
    repair = Repair.model_validate(next(iter(run.table("repairs").iter_rows())))
    trajectory = next(
        Trajectory.model_validate(row)
        for row in run.table("trajectories").iter_rows()
        if row["trajectory_id"] == repair.trajectory_id
    )
    tokenizer = Session(run, pipeline).tokenizer
    said = {"hunk_values": [{"start": 0, "end": 1}] * 9}
    with pytest.raises(InvalidDataError, match="other hunks"):
        prepare_repaired(trajectory, repair, tokenizer, pipeline.mask, said)


def test_values_of_another_run_are_not_taken_over(root: Path) -> None:
    """Its answers may have hunks at the same places: what tells is of which tokens it speaks."""
    options = ("--set", "value.draws=1", "--set", "value.controls=false")
    call("value", root, *options)
    values = Run.open_or_create(root, None).table("values")
    rows = list(values.iter_rows(0))
    for column, what in (("ids_sha256", "answer"), ("repair_ids_sha256", "repair")):
        values.write(0, [{**row, column: "0" * 64} for row in rows])
        result = call("mask", root, "--redo", "mask", code=1)
        assert f"stage value speaks of another {what}" in result.output
        assert "--redo value" in result.output
    values.write(0, rows)
    call("mask", root, "--redo", "mask")


def test_other_settings_are_refused_with_the_way_to_do_it_anew(root: Path) -> None:
    call("value", root, "--set", "value.draws=1", "--set", "value.controls=false", "--no-masks")
    result = call("value", root, "--set", "value.draws=2", code=1)
    assert "value.draws: 1 -> 2" in result.output
    assert "--redo value" in result.output
