"""ms-swift itself trains on stored answers with pictures: masks, losses, teachers, bad data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.testing import assert_allclose

from dfgen.export.exporting import export_tables
from dfgen.sealed_json import seal
from dfgen.store.finished import open_finished
from dfgen.trainers import reference
from dfgen.trainers.examples import make_examples
from dfgen.trainers.recipe import find_recipe
from tests.support.sample_run import make_run
from tests.support.trainer_envs import ROOT, run_in

POLICY = ROOT / "dfgen/demo/models/policy"
PICTURE = 2
"""The policy's token that stands for a picture."""

LONGEST = 64
"""--max_completion_length, by which dr_grpo divides."""

pytestmark = pytest.mark.trainers

# Name: recipe, further arguments. Likelihood goes with dapo and cispo only.
TRAINED: dict[str, tuple[str, list[str]]] = {
    "dapo": ("df+repair", []),
    "cispo": ("df+repair mask_mode=loss", ["--loss_type", "cispo", "--epsilon_high", "5"]),
    "grpo": ("grpo", ["--loss_type", "grpo", "--max_steps", "1"]),
    "grpo-loss": ("df mask_mode=loss", ["--loss_type", "grpo", "--max_steps", "1"]),
    "sapo": ("df", ["--loss_type", "sapo", "--max_steps", "1"]),
    "dr_grpo": ("df", ["--loss_type", "dr_grpo", "--max_steps", "1"]),
    "bnpo": ("df mask_mode=loss", ["--loss_type", "bnpo", "--max_steps", "1"]),
    "gspo_token": (
        "df",
        [
            *("--loss_type", "grpo", "--max_steps", "1"),
            *("--importance_sampling_level", "sequence_token"),
        ],
    ),
    "lora": ("df", ["--tuner_type", "lora", "--num_iterations", "2"]),
}
REFUSED: dict[str, tuple[dict[str, str], list[str], str]] = {
    "temperature": ({}, ["--temperature", "0.7"], "temperature is 0.7"),
    "reused": ({}, ["--num_iterations", "2"], "one update per batch"),
    "divided": ({}, ["--loss_type", "grpo"], "batch's sampled tokens"),
    "sequence": (
        {"DFGEN_RECIPE": "df"},
        ["--loss_type", "grpo", "--importance_sampling_level", "sequence"],
        "leaks out of a mask",
    ),
    "few": ({}, ["--per_device_train_batch_size", "400"], "do not fill one batch"),
    "unscored": ({"DFGEN_RECIPE": "grpo+repair"}, [], "dfgen score RUN"),
    "fipo": ({}, ["--loss_type", "fipo"], "one advantage per answer"),
    "recipe": ({"DFGEN_RECIPE": "fd"}, [], "no recipe 'fd'"),
    "missing": ({"DFGEN_DATA": ""}, [], "DFGEN_DATA"),
}


DAMAGED = {
    "newer": "dfgen.dataset/2",
    "tokenizer": "another tokenizer",
    "picture": "pictures, masks or ids were changed",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    finished = open_finished(make_run(folder / "run", prompts=12, samples=3))
    for name in ("groups", "privileged", "chord"):
        export_tables(finished, [name], folder / name, flat=True)
    return folder


@pytest.fixture(scope="module")
def seen(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All runs in one process, because imports take longest."""
    home = tmp_path_factory.mktemp("swift")
    runs: dict[str, Any] = {
        name: {"environment": {"DFGEN_RECIPE": recipe}, "arguments": arguments}
        for name, (recipe, arguments) in TRAINED.items()
    }
    # Compared with the run called dapo.
    plain = {"DFGEN_RECIPE": TRAINED["dapo"][0]}
    teacher = {**plain, "DFGEN_PRIVILEGED": str(folder / "privileged")}
    rlsd = ["--advantage_reweight", "rlsd", "--rlsd_lambda", "1"]
    runs["rlsd"] = {"environment": teacher, "arguments": rlsd}
    runs["opd"] = {"environment": teacher, "arguments": []}
    runs["chord"] = {"environment": plain, "arguments": list_chord_arguments(folder)}
    fresh = str(next((folder / "groups").glob("*.parquet")))
    runs["evaluated"] = {
        "environment": {},
        "arguments": [
            *("--val_dataset", fresh, "--eval_strategy", "steps", "--eval_steps", "1"),
            *("--per_device_eval_batch_size", "2", "--max_steps", "1"),
            *("--reward_funcs", "dfgen", "format"),
        ],
    }
    for name, (environment, arguments, _) in REFUSED.items():
        runs[name] = {"environment": environment, "arguments": arguments}
    for name in DAMAGED:
        data = spoil(folder / "groups", home / name, name)
        runs[name] = {"environment": {"DFGEN_DATA": str(data)}, "arguments": []}
    held = home / "placeholder"
    put_placeholders(folder / "groups", held)
    runs["placeholder"] = {"environment": {"DFGEN_DATA": str(held)}, "arguments": []}
    alone = "df+repair right=drop failed=drop unrepaired=drop"
    runs["repairs"] = {"environment": {"DFGEN_RECIPE": alone}, "arguments": ["--max_steps", "1"]}
    plan = home / "runs.json"
    plan.write_text(json.dumps(runs))
    variables = {"DFGEN_DATA": str(folder / "groups")}
    result: dict[str, Any] = run_in(
        "swift", "check_swift_training.py", str(POLICY), str(plan), home=home, **variables
    )
    return result


def spoil(groups: Path, copy: Path, how: str) -> Path:
    """Copy groups as a newer format, of another tokenizer, or with a changed file."""
    shutil.copytree(groups, copy)
    note = copy / "dfgen.json"
    if how == "newer":
        note.write_text(note.read_text().replace("dfgen.dataset/1", "dfgen.dataset/2"))
    elif how == "tokenizer":
        made = json.loads(note.read_bytes())
        made["tokenizer"]["sha256"] = "0" * 64
        note.write_text(json.dumps(seal(made)))
    else:
        (file,) = copy.glob("*.parquet")
        data = bytearray(file.read_bytes())
        data[100] ^= 1
        file.write_bytes(data)
    return copy


def put_placeholders(groups: Path, copy: Path) -> None:
    """Copy groups; the policy has drawn the token that stands for a picture in some answers."""
    (file,) = groups.glob("*.parquet")
    table = pq.read_table(file)
    rows = table.to_pylist()
    for row in rows[::2]:
        row["trajectories"][0]["completion_ids"][1] = PICTURE
    copy.mkdir()
    pq.write_table(pa.Table.from_pylist(rows, table.schema), copy / file.name)


def list_chord_arguments(folder: Path) -> list[str]:
    file = next((folder / "chord").glob("*.parquet"))
    return [
        *("--chord_sft_dataset", str(file), "--chord_sft_per_device_train_batch_size", "2"),
        *("--chord_mu_warmup_steps", "0", "--chord_mu_decay_steps", "0"),
        *("--chord_mu_peak", "0.5", "--chord_mu_valley", "0.5", "--max_steps", "1"),
    ]


@pytest.mark.parametrize("name", [*TRAINED, "rlsd"])
def test_nothing_outside_of_the_mask_has_a_gradient(name: str, seen: dict[str, Any]) -> None:
    run = seen[name]
    assert run["moved"] > (0 if name == "lora" else 50)
    assert run["finite"]
    for update in run["updates"]:
        assert update["outside"] == 0
        assert update["inside"] > 0
        assert update["finite"]
        assert update["pixels"] == [4, 3, 64, 64]


@pytest.mark.parametrize("name", TRAINED)
def test_a_batch_holds_what_the_examples_say(name: str, seen: dict[str, Any], folder: Path) -> None:
    recipe = find_recipe(TRAINED[name][0])
    examples = {
        (each.trajectory_id, each.kind): each
        for each in make_examples(folder / "groups", recipe, say=None)
    }
    assert seen[name]["rows"] == len(examples)
    for update in seen[name]["updates"]:
        for row, advantages, mask, old, logps in zip(
            update["rows"],
            *(np.array(update[key]) for key in ("advantages", "mask", "old", "logps")),
            strict=True,
        ):
            example = examples[row["trajectory_id"], row["kind"]]
            assert row["ids"] == example.ids.tolist()
            wanted = example.advantages[example.loss_mask]
            assert_allclose(advantages[mask], wanted, rtol=0, atol=1e-6)
            if example.loss == "ratio":
                assert example.old_logprobs is not None
                kept = example.old_logprobs[example.loss_mask]
                assert_allclose(old[mask], kept, rtol=0, atol=1e-6)
            elif update is seen[name]["updates"][0]:
                assert_allclose(old[mask], logps[mask], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_losses_and_gradients_are_those_of_the_reference(name: str, seen: dict[str, Any]) -> None:
    for update in seen[name]["updates"]:
        loss, gradient = compute_reference(name, update)
        assert_allclose(update["loss"], loss, rtol=0, atol=1e-6)
        # The trainer divides the loss by the steps it accumulates, before it goes backward.
        found = np.array(update["gradient"]) * update["steps"]
        assert_allclose(found, gradient, rtol=0, atol=1e-6)


def compute_reference(name: str, update: dict[str, Any]) -> tuple[float, Any]:
    """Loss as ms-swift has it before accumulation, and the gradient, likelihood as likelihood."""
    logps = torch.tensor(update["logps"], requires_grad=True)
    old, advantages, mask = (torch.tensor(update[key]) for key in ("old", "advantages", "mask"))
    kind = {"lora": "dapo", "grpo-loss": "grpo"}.get(name, name)
    own = {"dapo": {}, "cispo": {"high": 5.0}, "gspo_token": {"low": 0.2, "high": 0.2}}
    if kind in reference.BY_ROW:
        divisor: Any = mask.sum(-1)
        compute = reference.BY_ROW[kind]
    else:
        # ms-swift multiplies by the accumulated steps what the trainer will divide by them.
        divisor = {
            "dr_grpo": len(mask) * LONGEST,
            "bnpo": int(mask.sum()),
        }.get(kind, update["divisor"] / update["steps"])
        compute = reference.BY_TOKEN[kind]
    likely = torch.tensor([row["loss"] == "likelihood" for row in update["rows"]])
    # The value of a likelihood row is that of a ratio of 1, its gradient that of the likelihood.
    whole = compute(logps, old, advantages, mask, divisor, **own.get(kind, {}))
    loss = compute(logps, old, advantages, mask & ~likely[:, None], divisor, **own.get(kind, {}))
    if likely.any():
        loss = loss + reference.compute_likelihood(
            logps, advantages, mask & likely[:, None], divisor
        )
    (gradient,) = torch.autograd.grad(loss, logps)
    return whole.item(), gradient.numpy()


def test_the_divisor_counts_all_sampled_tokens_of_groups_that_are_trained_on(
    seen: dict[str, Any], folder: Path
) -> None:
    groups = make_examples(folder / "groups", "df+repair", keep_zero=True, say=None).iter_groups()
    wanted = sum(
        each.divisor for group in groups if any(e.advantages.any() for e in group) for each in group
    )
    assert seen["dapo"]["divisors"] == wanted
    for name in TRAINED:
        updates = seen[name]["updates"]
        for start in range(0, len(updates), 2):
            step = updates[start : start + 2]
            total = sum(row["divisor"] for update in step for row in update["rows"])
            assert [update["divisor"] for update in step] == [total, total]


def test_a_group_in_which_all_are_wrong_is_trained_on_by_its_repairs(
    seen: dict[str, Any], folder: Path
) -> None:
    recipe = find_recipe("df+repair")
    examples = make_examples(folder / "groups", recipe, say=None)
    alone = {
        group[0].prompt_id
        for group in examples.iter_groups()
        if {e.kind for e in group} == {"repair"}
    }
    assert alone
    found = [
        abs(np.array(update["gradient"][index])).sum()
        for update in seen["dapo"]["updates"]
        for index, row in enumerate(update["rows"])
        if row["trajectory_id"].rsplit("-", 1)[0] in alone
    ]
    assert found
    assert min(found) > 0


def test_answers_with_a_placeholder_are_left_out(seen: dict[str, Any], folder: Path) -> None:
    held = {
        f"{row['prompt_id']}-0"
        for row in pq.read_table(next((folder / "groups").glob("*.parquet"))).to_pylist()[::2]
    }
    examples = list(make_examples(folder / "groups", "df+repair", say=None))
    kept = [e for e in examples if e.kind == "repair" or e.trajectory_id not in held]
    assert seen["placeholder"]["rows"] == len(kept) < len(examples)
    assert seen["placeholder"]["finite"]


def test_repairs_alone_are_divided_by_their_trained_tokens(seen: dict[str, Any]) -> None:
    updates = seen["repairs"]["updates"]
    trained = sum(np.count_nonzero(update["advantages"]) for update in updates)
    assert [update["divisor"] for update in updates] == [trained] * len(updates)


def test_rlsd_moves_sizes_and_never_a_sign_or_a_mask(seen: dict[str, Any]) -> None:
    moved = 0
    for plain, update in zip(seen["dapo"]["updates"], seen["rlsd"]["updates"], strict=True):
        before, after = (np.array(each["advantages"]) for each in (plain, update))
        assert (np.sign(before) == np.sign(after)).all()
        factor = after[before != 0] / before[before != 0]
        assert (factor >= 0.8 - 1e-6).all()
        assert (factor <= 1.2 + 1e-6).all()
        moved += int((abs(factor - 1) > 1e-3).sum())
        for index, row in enumerate(update["rows"]):
            if row["kind"] == "right":
                assert_allclose(after[index], before[index], atol=1e-5)
    assert moved > 10
    assert "rlsd_lambda" in seen["rlsd"]["log"][0]
    assert "sign of an advantage" in seen["opd"]["refused"]


def test_chord_mixes_whole_repairs_in_as_likelihood(seen: dict[str, Any]) -> None:
    plain, mixed = (seen[name]["log"][0]["loss"] for name in ("dapo", "chord"))
    assert np.isfinite(mixed)
    assert mixed > plain / 2
    assert seen["chord"]["moved"] > 50


def test_evaluation_draws_new_answers(seen: dict[str, Any]) -> None:
    (evaluated,) = [entry for entry in seen["evaluated"]["log"] if "eval_loss" in entry]
    assert evaluated["eval_completions/mean_length"] > 10
    assert "eval_rewards/Format/mean" in evaluated


@pytest.mark.parametrize("name", REFUSED)
def test_bad_data_and_arguments_are_refused(name: str, seen: dict[str, Any]) -> None:
    assert REFUSED[name][2] in seen[name]["refused"]


@pytest.mark.parametrize("name", DAMAGED)
def test_data_that_are_not_as_they_were_written_are_refused(
    name: str, seen: dict[str, Any]
) -> None:
    assert DAMAGED[name] in seen[name]["refused"]
