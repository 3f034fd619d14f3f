"""verl itself: its loader, agent loop, TransferQueue, estimator and losses on stored answers."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfgen.export.exporting import export_tables
from dfgen.store.finished import open_finished
from dfgen.trainers.example import Example
from dfgen.trainers.examples import make_examples
from dfgen.trainers.prompting import encode_prompt
from dfgen.trainers.recipe import RECIPES
from tests.support.sample_run import make_run
from tests.support.trainer_envs import ROOT, run_in

POLICY = ROOT / "dfgen/demo/models/policy"
CASES = (("df+repair", "advantage"), ("df+repair", "loss"), ("grpo", "advantage"))
BOTH_MODES = ("vanilla", "cispo", "clip_cov", "dppo_kl", "dppo_tv", "gpg", "gspo", "sapo")
MODE_LOSS_ONLY = ("dro", "geo_mean", "kl_cov")
AGGREGATIONS = ("token-mean", "seq-mean-token-sum", "seq-mean-token-mean")
CLIP = 0.2

pytestmark = pytest.mark.trainers


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("groups")
    run = make_run(folder / "run", prompts=6, samples=4)
    export_tables(open_finished(run), ["groups"], folder / "table", flat=True)
    return folder / "table"


@pytest.fixture(scope="module")
def seen(groups: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    arguments = [word for case in CASES for word in case]
    home = tmp_path_factory.mktemp("verl")
    result: dict[str, Any] = run_in(
        "verl", "check_verl_replay.py", str(groups), str(POLICY), *arguments, home=home
    )
    return result


def open_case(groups: Path, case: tuple[str, str]) -> list[Example]:
    name, mode = case
    recipe = RECIPES[name].change(mask_mode=mode)
    return list(make_examples(groups, recipe, say=None))


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_verl_has_in_hands_what_the_examples_say(
    case: tuple[str, str], groups: Path, seen: dict[str, Any]
) -> None:
    from transformers import AutoProcessor

    result, examples = seen["recipes"][CASES.index(case)], open_case(groups, case)
    assert result["count"] == len(examples)
    batch = result["batch"]
    processor = AutoProcessor.from_pretrained(POLICY)
    for row, example in enumerate(examples):
        assert batch["responses"][row] == example.ids.tolist()
        assert batch["response_mask"][row] == example.loss_mask.tolist()
        np.testing.assert_array_equal(np.float32(batch["rm_scores"][row]), example.advantages)
        np.testing.assert_array_equal(
            np.float32(batch["advantages"][row]), example.advantages * example.loss_mask
        )
        old = np.float32(batch["old_log_probs"][row])
        if example.loss == "ratio":
            np.testing.assert_array_equal(old, example.old_logprobs)
        else:
            assert (old > 0.5).all()
        prompt, _ = encode_prompt(example.prompt, example.images, processor)
        assert batch["prompts"][row][: len(prompt)] == prompt
    assert result["pixels"] == [0.0] * len(examples)


@pytest.mark.parametrize("case", CASES, ids="-".join)
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_no_loss_moves_a_token_outside_of_the_mask(
    aggregation: str, case: tuple[str, str], seen: dict[str, Any]
) -> None:
    losses = seen["recipes"][CASES.index(case)]["losses"][aggregation]
    for name in BOTH_MODES:
        found = losses[f"dfgen_{name}"]
        assert found["outside"] == 0, name
        assert found["inside"] > 0, name
        assert np.isfinite(found["loss"]), name
    for name in MODE_LOSS_ONLY:
        found = losses[f"dfgen_{name}"]
        if case == ("df+repair", "advantage"):
            assert "outside of the mask" in found["refused"]
        else:
            assert found["outside"] == 0, name
            assert found["inside"] > 0, name


@pytest.mark.parametrize("case", CASES, ids="-".join)
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_vanilla_is_the_clipped_objective_and_likelihood(
    aggregation: str, case: tuple[str, str], groups: Path, seen: dict[str, Any]
) -> None:
    """By hand, in float64, which verl's sums in float32 are a little off: loss and gradients."""
    losses = seen["recipes"][CASES.index(case)]["losses"][aggregation]
    examples = open_case(groups, case)
    tokens = sum(int(example.loss_mask.sum()) for example in examples)
    total = 0.0
    for row, example in enumerate(examples):
        mask = example.loss_mask
        scale = {
            "token-mean": 1 / tokens,
            "seq-mean-token-sum": 1 / len(examples),
            "seq-mean-token-mean": 1 / len(examples) / (mask.sum() + 1e-8),
        }[aggregation]
        advantages = np.float64(example.advantages[mask])
        if example.loss == "likelihood":
            loss, gradient = -advantages, -advantages
        else:
            assert example.old_logprobs is not None
            logp = np.float64(losses["log_prob"][row])
            loss, gradient = clip_by_hand(logp - example.old_logprobs[mask], advantages)
        total += float(loss.sum()) * scale
        np.testing.assert_allclose(
            losses["dfgen_vanilla"]["gradient"][row], gradient * scale, atol=1e-6
        )
    assert losses["dfgen_vanilla"]["loss"] == pytest.approx(total, rel=1e-6, abs=3e-6)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_losses_are_those_of_the_reference(case: tuple[str, str], seen: dict[str, Any]) -> None:
    compared = 0
    for losses in seen["recipes"][CASES.index(case)]["losses"].values():
        for name in BOTH_MODES:
            difference = losses[f"dfgen_{name}"]["difference"]
            if difference is not None:
                compared += 1
                assert difference <= 1e-6, name
    assert compared == 3 + len(AGGREGATIONS)


@pytest.mark.parametrize("case", CASES[:2], ids="-".join)
def test_repairs_get_the_gradient_of_likelihood_from_every_loss(
    case: tuple[str, str], groups: Path, seen: dict[str, Any]
) -> None:
    """But for `clip_cov`, which takes tokens out at random."""
    examples = open_case(groups, case)
    tokens = sum(int(example.loss_mask.sum()) for example in examples)
    losses = seen["recipes"][CASES.index(case)]["losses"]["token-mean"]
    assert any(example.loss == "likelihood" for example in examples)
    for name in set(BOTH_MODES) - {"clip_cov"}:
        for row, example in enumerate(examples):
            if example.loss == "likelihood":
                mask = example.loss_mask
                scale = 1 / len(examples) / mask.sum() if name == "sapo" else 1 / tokens
                np.testing.assert_allclose(
                    losses[f"dfgen_{name}"]["gradient"][row],
                    -example.advantages[mask] * scale,
                    atol=1e-6,
                    err_msg=name,
                )


def clip_by_hand(log_ratio: Any, advantages: Any) -> tuple[Any, Any]:
    """PPO's loss of each token, and its derivative by the log-prob."""
    ratio = np.exp(log_ratio)
    free, clipped = -advantages * ratio, -advantages * np.clip(ratio, 1 - CLIP, 1 + CLIP)
    return np.maximum(free, clipped), np.where(free >= clipped, free, 0.0)


def test_settings_that_would_change_the_gradient_stop_the_training(seen: dict[str, Any]) -> None:
    faults = seen["faults"]
    assert sorted(faults) == sorted(
        [
            *("estimator", "loss", "copies", "temperature", "length", "bypass", "kl"),
            "processor",
        ]
    )
    for name in ("estimator", "loss", "copies", "temperature", "length", "processor"):
        assert "could not be replayed" in faults[name]
    for name in ("bypass", "kl"):
        assert "dfgen_stored needs" in faults[name]


def test_a_plugin_that_cannot_be_loaded_says_so(seen: dict[str, Any], tmp_path: Path) -> None:
    """verl itself notes it at DEBUG, and knows no dfgen_stored later."""
    result = subprocess.run(
        [
            ROOT / ".venv-verl/bin/python",
            "-c",
            "import sys; sys.modules['cachetools'] = None; import verl",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert "dfgen: the plugin for verl is not loaded" in result.stderr
    assert "cachetools" in result.stderr
