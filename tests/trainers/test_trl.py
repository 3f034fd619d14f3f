"""TRL trains on stored answers: in .venv-trl, on pictures, with the demo's policy."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from dfgen.export.exporting import export_tables
from dfgen.store.finished import open_finished
from tests.support.sample_run import make_run
from tests.support.trainer_envs import ROOT, SCRIPTS, run_in

POLICY = str(ROOT / "dfgen/demo/models/policy")
MODES = ("advantage", "loss")
BY_TOKEN = ("dapo", "grpo", "bnpo", "dr_grpo", "sapo", "cispo", "vespo", "luspo")
PROMISED = [f"{loss} {mode}" for loss in BY_TOKEN for mode in MODES] + ["gspo loss"]
OTHERS = (
    *("gspo grpo", "dapo ratio", "grpo ratio", "sft"),
    *("accumulated", "iterated", "halves", "kl"),
)
WITHOUT_REFERENCE = ("vespo advantage", "vespo loss", "luspo advantage", "luspo loss", "kl")

pytestmark = pytest.mark.trainers


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("groups")
    run = make_run(folder / "run", prompts=14, samples=4)
    export_tables(open_finished(run), ["groups"], folder / "table", flat=True)
    return str(folder / "table")


@pytest.fixture(scope="module")
def losses(groups: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("losses")
    return run_in("trl", "check_trl_loss.py", groups, POLICY, home=home)


@pytest.fixture(scope="module")
def runs(groups: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("runs")
    return run_in("trl", "check_trl_runs.py", groups, POLICY, home=home)


@pytest.mark.parametrize("case", [*PROMISED, *OTHERS])
def test_no_gradient_leaves_the_mask(losses: Any, case: str) -> None:
    seen = losses[case]
    assert seen["outside"] == 0
    assert seen["finite"]
    assert seen["moved"] > 50
    assert seen["steps"] == (2 if case in ("iterated", "halves") else 1)


@pytest.mark.parametrize("case", [*PROMISED, *OTHERS])
def test_each_kind_of_row_has_a_gradient(losses: Any, case: str) -> None:
    """VESPO weighs a row by its whole ratio, which the invented log-probs send to 0."""
    inside = dict(losses[case]["inside"])
    if case.startswith("vespo"):
        inside = {"repair": inside["repair"]}
    kinds = {"gspo grpo": {"right", "failed"}, "sft": {"right", "repair"}}
    assert inside.keys() >= kinds.get(case, {"repair"})
    assert min(inside.values()) > 1e-4


@pytest.mark.parametrize(
    "case", [case for case in [*PROMISED, *OTHERS] if case not in WITHOUT_REFERENCE]
)
def test_loss_and_gradient_are_those_of_the_reference(losses: Any, case: str) -> None:
    seen = losses[case]
    assert len(seen["errors"]) == seen["steps"]
    assert max(seen["errors"]) <= 1e-6
    assert seen["gradient_error"] <= 1e-6


def test_two_processes_move_the_weights_as_one_does(groups: str, tmp_path: Path) -> None:
    alone, together = str(tmp_path / "1.json"), str(tmp_path / "2.json")
    one = run_in("trl", "check_trl_processes.py", groups, POLICY, alone, home=tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    two = run_in(
        "trl",
        "launch_trl.py",
        *(port, str(SCRIPTS / "check_trl_processes.py"), groups, POLICY, together),
        home=tmp_path,
    )
    assert (one["processes"], two["processes"]) == (1, 2)
    assert one["fresh steps"] == two["fresh steps"] == 1
    for loss in ("dapo", "grpo"):
        assert one[loss].keys() == two[loss].keys()
        moved = max(norm for _, norm in one[loss].values())
        assert moved > 1e-3
        for name, (total, norm) in one[loss].items():
            assert two[loss][name] == pytest.approx([total, norm], abs=1e-5 * moved), name


@pytest.mark.parametrize(
    "case",
    [
        *("fresh", "peft", "checkpointing", "workers", "all wrong", "no log-probs"),
        *("empty mask", "placeholder", "truncated", "rounds"),
    ],
)
def test_it_trains(runs: Any, case: str) -> None:
    seen = runs[case]
    assert seen["steps"] == (2 if case in ("fresh", "peft") else 1)
    assert seen["finite"]
    assert seen["gradient"] > 1e-4
    assert seen["moved"] > (10 if case == "peft" else 50)


def test_fresh_answers_are_drawn_graded_and_trained_on_in_groups(runs: Any) -> None:
    seen = runs["fresh"]
    assert seen["graded in training"] == [6]
    (ids,) = seen["groups"]
    assert len(set(ids[:3])) == len(set(ids[3:])) == 1
    assert ids[0] != ids[3]
    assert seen["fresh gradient"] > 1e-5
    assert 0 <= seen["log"]["fresh/reward"] <= 1


def test_evaluation_generates_and_trains_nothing(runs: Any) -> None:
    seen = runs["fresh"]
    assert seen["graded in evaluation"] == 12
    assert seen["moved by evaluation"] == 0
    # The policy is right about half of the time; replayed answers would be cut at other lengths.
    assert 0 < seen["evaluation"]["eval_rewards/reward/mean"] <= 1


def test_peft_trains_adapters_only(runs: Any) -> None:
    assert runs["peft"]["only"]
    assert runs["peft"]["adapters"] >= runs["peft"]["moved"] > 10


def test_checkpointing_changes_no_gradient(runs: Any) -> None:
    assert runs["checkpointing"]["difference"] < 1e-5


def test_groups_that_are_all_wrong_train_by_their_repairs(runs: Any) -> None:
    assert "leaves nothing to train on" in runs["all wrong"]["grpo"]
    assert runs["all wrong"]["log"]["stored/likelihood"] < 0


def test_unknown_log_probs_are_said_and_become_no_nan(runs: Any) -> None:
    assert "begins at 1" in runs["no log-probs"]["said"]


def test_rounds_are_loaded_together(runs: Any) -> None:
    assert runs["rounds"]["rows"] == 2 * runs["truncated"]["rows"]


def test_answers_with_a_placeholder_are_left_out_or_refused(runs: Any) -> None:
    assert runs["placeholder"]["left out"] == 1
    assert "stands for a picture" in runs["placeholder"]["unchecked"]


REFUSALS = {
    "vllm": "second ratio",
    "temperature": "temperature is 0.7, and the rows were loaded for 1.0",
    "temperature of rows": "sampled at 1.0",
    "truncated": "mask_truncated_completions",
    "columns": "remove_unused_columns",
    "sequence": 'mask_mode="loss"',
    "batch": "a batch takes 3000 stored rows, and there are",
    "no rows": "load_rows",
    "tools": "tools cannot be used",
    "fresh without rewards": "reward_funcs",
    "evaluation without rewards": "reward_funcs",
    "share": "below 1",
    "small share": "0.0833333 or more",
    "tokenizer": "dfgen retokenize",
    "newer": "groups/2",
    "recipe": "Did you mean 'df+repair'?",
    "nothing": "nothing to train on",
    "tokenizer of the model": "another tokenizer than the model's",
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_would_train_on_something_else_is_refused(runs: Any, case: str) -> None:
    assert REFUSALS[case] in runs["refused"][case]


def test_all_refusals_are_tested(runs: Any) -> None:
    assert runs["refused"].keys() == REFUSALS.keys()
