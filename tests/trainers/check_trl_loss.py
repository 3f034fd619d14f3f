"""Runs in .venv-trl: gradients and losses of stored rows, for each kind of loss TRL has.

python check_trl_loss.py FOLDER MODEL [CASE ...]: FOLDER holds exported groups. Prints what it
measured of each case but those named, as JSON. Losses and gradients are compared with
`dfgen.trainers.reference`, gradients also with the masks of the table itself, which are looked up
by trajectory and not taken from the adapter.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
import trl_watch

from dfgen.trainers import reference
from dfgen.trainers.recipe import Recipe, find_recipe

ROWS = 24
LENGTH = 48
TOKEN = ("dapo", "grpo", "bnpo", "dr_grpo", "sapo", "cispo", "vespo", "luspo")
MODES = ("advantage", "loss")


def main(folder: str, model_path: str, *without: str) -> None:
    masks = read_masks(folder)
    both = find_recipe("df+repair")
    ratio = both.change(positive_loss="ratio")
    cases: list[tuple[str, Recipe, dict[str, Any]]] = [
        (f"{loss} {mode}", both.change(mask_mode=mode), {"loss_type": loss})
        for loss, mode in itertools.product(TOKEN, MODES)
    ]
    whole = {"importance_sampling_level": "sequence"}
    cases += [
        ("gspo loss", both.change(mask_mode="loss"), {"loss_type": "grpo", **whole}),
        ("gspo grpo", find_recipe("grpo"), {"loss_type": "grpo", **whole}),
        ("dapo ratio", ratio, {"loss_type": "dapo"}),
        ("grpo ratio", ratio.change(mask_mode="loss"), {"loss_type": "grpo"}),
        ("sft", find_recipe("sft"), {"loss_type": "dapo"}),
        ("accumulated", both, {"gradient_accumulation_steps": 3}),
        ("iterated", both, {"num_iterations": 2, "max_steps": 2}),
        ("halves", both, {"steps_per_generation": 2, "max_steps": 2}),
        ("kl", both.change(mask_mode="loss"), {"beta": 0.1}),
    ]
    print(
        json.dumps(
            {
                name: measure(folder, model_path, masks, recipe, settings)
                for name, recipe, settings in cases
                if name not in without
            }
        )
    )


def measure(
    folder: str, model_path: str, masks: dict[str, Any], recipe: Recipe, settings: dict[str, Any]
) -> dict[str, Any]:
    pieces = settings.get("gradient_accumulation_steps", settings.get("steps_per_generation", 1))
    trainer, rows = trl_watch.make_trainer(
        folder,
        model_path,
        recipe,
        # TRL's default bound of CISPO, 0.2, would clip every ratio.
        **{"epsilon_high": 5.0} if settings.get("loss_type") == "cispo" else {},
        **{"per_device_train_batch_size": ROWS // pieces, "max_completion_length": LENGTH},
        **settings,
    )
    before = trl_watch.copy_weights(trainer)
    trainer.train()
    taken = [rows[index] for index in range(ROWS)]
    steps = trl_watch.join_accumulated(trainer.seen, settings.get("gradient_accumulation_steps", 1))
    found: dict[str, Any] = {
        "steps": trainer.state.global_step,
        "moved": trl_watch.count_moved(trainer, before),
        "finite": all(bool(torch.isfinite(step.gradient).all()) for step in steps),
        "outside": 0.0,
        "inside": {},
        "errors": [],
    }
    for number, step in enumerate(steps):
        part = taken
        if "steps_per_generation" in settings:
            part = taken[number * ROWS // pieces : (number + 1) * ROWS // pieces]
        measure_mask(found, step.gradient, part, choose_masks(masks, recipe))
        expected = compute_expected(step, part, recipe, settings, taken)
        if expected is not None:
            gradient = torch.autograd.grad(expected, step.leaf)[0]
            found["errors"].append(abs(float(expected.detach()) - step.loss))
            found["gradient_error"] = float((gradient - step.gradient).abs().max())
    return found


def measure_mask(
    found: dict[str, Any],
    gradient: torch.Tensor,
    rows: list[Any],
    masks: dict[str, Any],
) -> None:
    """Largest gradient outside of what the table allows, and inside for each kind of row."""
    for row, values in zip(rows, gradient, strict=True):
        kind = row["stored"].kind
        allowed = torch.zeros(len(values), dtype=torch.bool)
        mask = masks[row["trajectory_id"]][kind]
        allowed[: len(mask)] = torch.tensor(mask)
        outside = values[~allowed].abs()
        found["outside"] = max(found["outside"], float(outside.max()) if len(outside) else 0.0)
        most = float(values[allowed].abs().max()) if allowed.any() else 0.0
        found["inside"][kind] = max(found["inside"].get(kind, 0.0), most)


def compute_expected(
    step: trl_watch.Step,
    rows: list[Any],
    recipe: Recipe,
    settings: dict[str, Any],
    batch: list[Any],
) -> torch.Tensor | None:
    """The loss by plain torch; None where there is no reference (KL, VESPO, LUSPO)."""
    loss = settings.get("loss_type", "dapo")
    if "importance_sampling_level" in settings:
        loss = "gspo"
    if loss not in {**reference.BY_ROW, **reference.BY_TOKEN} or "beta" in settings:
        return None
    stored = [row["stored"] for row in rows]
    shape = step.leaf.shape
    old, factors = torch.zeros(shape), torch.zeros(shape)
    ratio, likely = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
    for number, row in enumerate(stored):
        here = (number, slice(len(row.ids)))
        target = likely if row.likelihood else ratio
        target[here] = torch.tensor(row.loss_mask)
        factors[here] = torch.tensor(row.advantages)
        # Unknown log-probs of a repair: the model's own before the update.
        own = step.first_logps[here]
        old[here] = own if row.old_logprobs is None else torch.tensor(row.old_logprobs)
    share = len(rows) / len(batch)
    divisor = share * sum(row["stored"].divisor for row in batch)
    sampled = share * sum(row["stored"].divisor > 0 for row in batch)
    clip = {"low": 0.2, "high": 0.2} if loss != "sapo" else {}
    if loss == "cispo":
        clip = {"high": 5.0}
    if loss in reference.BY_ROW:
        by_row = reference.BY_ROW[loss](step.leaf, old, factors, ratio, ratio.sum(-1), **clip)
        total = by_row * len(rows) / sampled
    else:
        kept = {"dr_grpo": sampled * LENGTH, "bnpo": float(ratio.sum())}.get(loss, divisor)
        total = reference.BY_TOKEN[loss](step.leaf, old, factors, ratio, kept, **clip)
    return total + reference.compute_likelihood(step.leaf, factors, likely, divisor)


def read_masks(folder: str) -> dict[str, Any]:
    """By trajectory: its tokens, its mask and that of its repair, as the table has them."""
    masks: dict[str, Any] = {}
    for file in sorted(Path(folder).glob("*.parquet")):
        for group in pq.read_table(file).to_pylist():
            for row in group["trajectories"]:
                masks[row["trajectory_id"]] = row
    return masks


def choose_masks(table: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """By trajectory and kind: the tokens that a recipe may train."""
    chosen = {}
    for name, row in table.items():
        every = [True] * len(row["completion_ids"])
        gated = recipe.failed == "mask" and row["repair_ids"] is not None
        repair = row["repair_mask"]
        if recipe.positives == "all" and repair is not None:
            repair = [True] * len(repair)
        failed = row["loss_mask"] if gated else every
        chosen[name] = {"right": every, "failed": failed, "repair": repair}
    return chosen


if __name__ == "__main__":
    main(*sys.argv[1:])
