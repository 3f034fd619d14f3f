"""OpenRLHF itself, from its loader to its loss, replays stored answers with pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from dfgen.export.exporting import export_tables
from dfgen.store.finished import open_finished
from dfgen.trainers.examples import make_examples
from dfgen.trainers.recipe import find_recipe
from dfgen.trainers.reference import compute_dapo
from tests.support.sample_run import make_run
from tests.support.trainer_envs import ROOT, run_in

POLICY = ROOT / "dfgen/demo/models/policy"
RECIPE = find_recipe("df+whole").change(mask_mode="loss", positive_loss="ratio")

pytestmark = pytest.mark.trainers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    finished = open_finished(make_run(folder / "run", prompts=8, samples=3))
    for name in ("groups", "openrlhf"):
        export_tables(finished, [name], folder / name, flat=True)
    return folder


@pytest.fixture(scope="module")
def seen(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("openrlhf")
    table = str(folder / "openrlhf")
    result: dict[str, Any] = run_in("openrlhf", "check_openrlhf.py", table, str(POLICY), home=home)
    return result


@pytest.fixture(scope="module")
def samples(seen: dict[str, Any]) -> list[dict[str, Any]]:
    return [sample for label in seen["rows"] for sample in json.loads(label)["samples"]]


def test_masks_ids_and_advantages_are_those_of_the_examples(
    folder: Path, seen: dict[str, Any], samples: list[dict[str, Any]]
) -> None:
    examples = {
        (each.trajectory_id, each.kind): each
        for each in make_examples(folder / "groups", RECIPE, say=None)
    }
    found = 0
    for sample, ids, advantages in zip(samples, seen["ids"], seen["advantages"], strict=True):
        if sample["kind"] in ("empty", "counterweight"):
            assert ids == []
            continue
        found += 1
        example = examples[sample["trajectory_id"], sample["kind"]]
        assert ids == example.ids[example.loss_mask].tolist()
        wanted = example.advantages[example.loss_mask]
        assert_allclose(advantages, wanted, rtol=0, atol=1e-6)
    assert found == len(examples)


def test_only_the_mask_has_a_gradient(seen: dict[str, Any]) -> None:
    assert seen["outside"] == 0
    assert seen["inside"] > 0
    assert seen["finite"]
    assert seen["moved"] > 50
    assert seen["pictures"] == len(seen["masks"])


def test_the_loss_is_that_of_the_reference(seen: dict[str, Any]) -> None:
    """Its divisor counts all tokens in a mask, those of repairs as well."""
    flat = [
        torch.tensor(np.concatenate([np.array(row) for row in seen[name]]))[None]
        for name in ("logps", "old", "advantages")
    ]
    count = flat[0].shape[1]
    loss = compute_dapo(*flat, torch.ones_like(flat[0], dtype=torch.bool), count)
    assert_allclose(seen["loss"], loss.item(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("count", "drew 9 samples of a row that has 8"),
        ("temperature", "divides logits by 0.7"),
        ("tokenizer", "another tokenizer"),
        ("newer", "format 2"),
        ("logprobs", "nobody knows the log-probs"),
        ("plain", "holds no stored answers"),
        ("long", "cut them at 256"),
    ],
)
def test_bad_data_and_arguments_are_refused(name: str, said: str, seen: dict[str, Any]) -> None:
    assert said in seen["refused"][name]


def test_a_sample_with_a_placeholder_has_no_token_to_train_on(seen: dict[str, Any]) -> None:
    blanked = seen["blanked"]
    assert blanked["ranges"] == []
    assert blanked["left"] == 0
    assert blanked["mean"] == pytest.approx(0, abs=1e-6)
