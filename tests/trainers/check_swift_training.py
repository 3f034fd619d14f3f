"""Runs in .venv-swift with dfgen installed: `swift rlhf` trains on stored answers with pictures.

python check_swift_training.py MODEL [ARGUMENT ...]: prints as JSON what each update saw.
DFGEN_DATA and the other variables say what is trained on, as for a user.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from swift.pipelines import rlhf_main

from dfgen.trainers import swift as adapter
from dfgen.trainers.__main__ import find_plugin
from dfgen.trainers.swift import ReplayTrainer

seen: list[dict[str, Any]] = []


def watch_logps(self: Any, *arguments: Any, **named: Any) -> Any:
    found = read_logps(self, *arguments, **named)
    if found[0].requires_grad:
        found[0].retain_grad()
        seen.append({"logps": found[0]})
    return found


def watch_loss(self: Any, model: Any, model_inputs: Any, batch: Any) -> Any:
    loss, metrics = compute_loss(self, model, model_inputs, batch)
    seen[-1] |= {
        "loss": loss.item(),
        "batch": batch,
        "pixels": list(model_inputs["pixel_values"].shape),
    }
    return loss, metrics


read_logps = ReplayTrainer._get_per_token_logps_and_entropies
compute_loss = ReplayTrainer._compute_loss_and_metrics
ReplayTrainer._get_per_token_logps_and_entropies = watch_logps
ReplayTrainer._compute_loss_and_metrics = watch_loss


def main(model: str, *arguments: str) -> None:
    result = rlhf_main(
        [
            *("--rlhf_type", "grpo", "--dataset", "dfgen", "--reward_funcs", "dfgen"),
            *("--external_plugins", str(find_plugin("swift"))),
            str(Path(__file__).with_name("swift_demo.py")),
            *("--model", model, "--model_type", "llava1_5_hf", "--template", "dfgen_demo"),
            *("--tuner_type", "full", "--torch_dtype", "float32", "--learning_rate", "1e-3"),
            *("--freeze_vit", "false", "--freeze_aligner", "false"),
            *("--per_device_train_batch_size", "4", "--num_generations", "2"),
            *("--gradient_accumulation_steps", "2", "--max_steps", "2", "--temperature", "1"),
            *("--beta", "0", "--loss_type", "dapo", "--report_to", "none", "--save_strategy", "no"),
            *("--use_vllm", "false", "--gradient_checkpointing", "false", "--use_cpu", "true"),
            *("--split_dataset_ratio", "0", "--logging_steps", "1", "--output_dir", "output"),
            *("--dataloader_num_workers", "0", "--dataset_num_proc", "1", "--bf16", "false"),
            *arguments,
        ]
    )
    print(json.dumps({"updates": [describe(each) for each in seen], "log": result["log_history"]}))


def describe(update: dict[str, Any]) -> dict[str, Any]:
    """What a test compares: sums, not tensors."""
    batch, gradient = update["batch"], update["logps"].grad
    outside = ~batch.completion_mask | (batch.advantages == 0)
    return {
        "loss": update["loss"],
        "pixels": update["pixels"],
        "outside": gradient[outside].abs().max().item() if outside.any() else 0.0,
        "inside": gradient.abs().sum().item(),
        "finite": bool(torch.isfinite(gradient).all()),
        "logps": update["logps"].tolist(),
        "old": batch.old_per_token_logps.tolist(),
        "advantages": batch.advantages.tolist(),
        "mask": batch.completion_mask.tolist(),
        "divisor": batch.num_items_in_batch.item(),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
