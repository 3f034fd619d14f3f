"""Runs in .venv-trl: a trainer that keeps what its losses were computed from."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import Any

import torch
import trl.trainer.grpo_trainer as grpo
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import GRPOConfig

from dfgen.trainers.recipe import Recipe
from dfgen.trainers.trl import DiffGRPOTrainer, load_rows


@dataclass
class Step:
    """One loss: float[B, T] log-probs as a leaf, and the loss's gradient by them."""

    leaf: torch.Tensor
    gradient: torch.Tensor
    loss: float
    first_logps: torch.Tensor


class WatchedTrainer(DiffGRPOTrainer):
    def __init__(self, *arguments: Any, **others: Any) -> None:
        self.seen: list[Step] = []
        super().__init__(*arguments, **others)

    def _get_per_token_logps_and_entropies(self, *arguments: Any, **others: Any) -> Any:
        computed = super()._get_per_token_logps_and_entropies(*arguments, **others)
        if self._open is not None:
            self.logps = computed[0]
        return computed

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        loss = super()._compute_loss(model, inputs)
        if self.model.training:
            gradient = torch.autograd.grad(loss, self.logps, retain_graph=True)[0]
            logps = self.logps.detach().clone()
            self.seen.append(Step(logps.requires_grad_(), gradient, float(loss.detach()), logps))
        return loss


def make_trainer(
    folder: Any,
    model_path: str,
    recipe: Recipe | str,
    *,
    kind: type[DiffGRPOTrainer] = WatchedTrainer,
    trainer: dict[str, Any] | None = None,
    say: Any = None,
    check: bool = True,
    **settings: Any,
) -> tuple[Any, Any]:
    """A trainer that takes rows in the order of the table, and these rows."""
    # TRL shuffles within a generation batch, whatever shuffle_dataset says.
    grpo.shuffle_sequence_dict = lambda batch: batch
    processor = AutoProcessor.from_pretrained(model_path)
    model = AutoModelForImageTextToText.from_pretrained(model_path, dtype=torch.float32)
    rows = load_rows(folder, recipe, tokenizer=processor if check else None, say=say)
    arguments: dict[str, Any] = {
        "output_dir": tempfile.mkdtemp(),
        "max_steps": 1,
        "per_device_train_batch_size": 24,
        "num_generations": 2,
        "learning_rate": 1e-3,
        "shuffle_dataset": False,
        "use_cpu": True,
        "bf16": False,
        "report_to": [],
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
    }
    made = kind(
        model,
        args=GRPOConfig(**{**arguments, **settings}),
        train_dataset=rows,
        processing_class=processor,
        say=say,
        **(trainer or {}),
    )
    return made, rows


def copy_weights(trainer: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in trainer.model.named_parameters()}


def count_moved(trainer: Any, before: dict[str, torch.Tensor]) -> int:
    parameters = trainer.model.named_parameters()
    return sum(not torch.equal(before[name], value) for name, value in parameters)


def join_accumulated(steps: list[Step], pieces: int) -> list[Step]:
    """Join the losses of one update, whose gradients add up."""
    joined = []
    for start in range(0, len(steps), pieces):
        part = steps[start : start + pieces]
        leaf = torch.cat([step.leaf.detach() for step in part]).requires_grad_()
        gradient = torch.cat([step.gradient for step in part])
        joined.append(Step(leaf, gradient, sum(step.loss for step in part), leaf.detach()))
    first = joined[0].first_logps
    for step in joined:
        if step.leaf.shape == first.shape:
            step.first_logps = first
    return joined
