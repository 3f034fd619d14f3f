"""Runs in .venv-trl: trains on groups with TRL as the study's loop does, all answers in one batch.

python check_trl_study.py FOLDER RECIPE CHOICES: prints the loss of each step as JSON. CHOICES is
JSON: steps, rate, betas, max_norm, seed.
"""

from __future__ import annotations

import json
import sys
import tempfile
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import GRPOConfig

from dfgen.demo import locate_model
from dfgen.trainers.trl import DiffGRPOTrainer, load_rows


class WatchedTrainer(DiffGRPOTrainer):
    def __init__(self, *arguments: Any, **others: Any) -> None:
        self.losses: list[float] = []
        super().__init__(*arguments, **others)

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        loss = super()._compute_loss(model, inputs)
        self.losses.append(float(loss.detach()))
        return loss


def main(folder: str, recipe: str, choices: str) -> None:
    chosen = json.loads(choices)
    torch.set_num_threads(1)
    path = locate_model("policy")
    processor = AutoProcessor.from_pretrained(path)
    rows = load_rows(folder, recipe, tokenizer=processor, say=None)
    arguments = GRPOConfig(
        output_dir=tempfile.mkdtemp(),
        learning_rate=chosen["rate"],
        lr_scheduler_type="constant",
        adam_beta1=chosen["betas"][0],
        adam_beta2=chosen["betas"][1],
        max_grad_norm=chosen["max_norm"],
        per_device_train_batch_size=len(rows),
        num_generations=len(rows),
        max_steps=chosen["steps"],
        seed=chosen["seed"],
        use_cpu=True,
        bf16=False,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )
    model = AutoModelForImageTextToText.from_pretrained(path, dtype=torch.float32)
    trainer = WatchedTrainer(
        model, args=arguments, train_dataset=rows, processing_class=processor, say=None
    )
    trainer.train()
    print(json.dumps(trainer.losses))


if __name__ == "__main__":
    main(*sys.argv[1:])
