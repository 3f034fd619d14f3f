"""Runs in .venv-swift with dfgen installed: `swift rlhf` trains on stored answers with pictures.

python check_swift_training.py MODEL RUNS.json: a list of runs, each with the environment and the
further arguments that a user would give; prints as JSON what every update of each run saw, or what
it was refused with.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import swift.trainers.mixin
import torch
from swift.pipelines import rlhf_main

from dfgen.errors import DfgenError
from dfgen.trainers.__main__ import find_adapter
from dfgen.trainers.swift import ReplayTrainer, is_stored

# It asks a server whether there is a newer copy of the model, for seven seconds.
swift.trainers.mixin.check_local_model_is_latest = lambda *_, **__: None

seen: list[dict[str, Any]] = []
trained: dict[str, Any] = {}
read_logps = ReplayTrainer._get_per_token_logps_and_entropies
compute_loss = ReplayTrainer._compute_loss_and_metrics
postprocess = ReplayTrainer._postprocess_batch
train = ReplayTrainer.train


def watch_logps(self: Any, *arguments: Any, **named: Any) -> Any:
    found = read_logps(self, *arguments, **named)
    if found[0].requires_grad:
        found[0].retain_grad()
        seen.append({"logps": found[0]})
    return found


def watch_loss(self: Any, model: Any, model_inputs: Any, batch: Any) -> Any:
    loss, metrics = compute_loss(self, model, model_inputs, batch)
    if not loss.requires_grad:
        return loss, metrics
    seen[-1] |= {"loss": loss, "batch": batch, "pixels": model_inputs["pixel_values"]}
    seen[-1] |= {"steps": self.args.gradient_accumulation_steps}
    return loss, metrics


def watch_training(self: Any, *arguments: Any, **named: Any) -> Any:
    before = {name: weight.detach().clone() for name, weight in self.model.named_parameters()}
    result = train(self, *arguments, **named)
    trained.update(
        rows=len(self.train_dataset),
        divisors=sum(self.train_dataset["divisor"]),
        moved=sum(
            bool((weight != before[name]).any()) for name, weight in self.model.named_parameters()
        ),
        finite=all(bool(torch.isfinite(weight).all()) for weight in self.model.parameters()),
    )
    return result


def watch_batch(self: Any, samples: Any, batches: Any) -> None:
    postprocess(self, samples, batches)
    if not is_stored(samples):
        return
    for rows, batch in zip(self.split_by_mini_batches(samples), batches, strict=True):
        batch["grpo_batch"].rows = [
            sample.extra | {"ids": sample.response_token_ids[0]} for sample in rows
        ]


ReplayTrainer._get_per_token_logps_and_entropies = watch_logps
ReplayTrainer._compute_loss_and_metrics = watch_loss
ReplayTrainer._postprocess_batch = watch_batch
ReplayTrainer.train = watch_training


def main(model: str, runs: str) -> None:
    found, given = {}, {"DFGEN_DATA": os.environ["DFGEN_DATA"]}
    for name, run in json.loads(Path(runs).read_bytes()).items():
        seen.clear()
        trained.clear()
        os.environ |= given | {"DFGEN_RECIPE": "", "DFGEN_PRIVILEGED": ""} | run["environment"]
        try:
            result = rlhf_main(list_arguments(model) + run["arguments"])
        except DfgenError as error:
            found[name] = {"refused": f"{error.what} {error.hint}"}
        else:
            updates = [describe(each) for each in seen]
            found[name] = {"updates": updates, "log": result["log_history"], **trained}
    print(json.dumps(found))


def list_arguments(model: str) -> list[str]:
    demo = str(Path(__file__).with_name("swift_demo.py"))
    return [
        *("--rlhf_type", "grpo", "--dataset", "dfgen", "--reward_funcs", "dfgen"),
        *("--external_plugins", str(find_adapter("swift")), demo),
        *("--model", model, "--model_type", "llava1_5_hf", "--template", "dfgen_demo"),
        *("--tuner_type", "full", "--torch_dtype", "float32", "--learning_rate", "1e-3"),
        *("--freeze_vit", "false", "--freeze_aligner", "false"),
        *("--per_device_train_batch_size", "4", "--num_generations", "2"),
        *("--gradient_accumulation_steps", "2", "--max_steps", "2", "--temperature", "1"),
        *("--beta", "0", "--loss_type", "dapo", "--report_to", "none", "--save_strategy", "no"),
        *("--use_vllm", "false", "--gradient_checkpointing", "false", "--use_cpu", "true"),
        *("--split_dataset_ratio", "0", "--logging_steps", "1", "--output_dir", "output"),
        *("--dataloader_num_workers", "0", "--dataset_num_proc", "1", "--bf16", "false"),
        *("--max_completion_length", "64"),
    ]


def describe(update: dict[str, Any]) -> dict[str, Any]:
    batch, logps = update["batch"], update["logps"]
    outside = ~batch.completion_mask | (batch.advantages == 0)
    return {
        "loss": update["loss"].item(),
        "steps": update["steps"],
        "pixels": list(update["pixels"].shape),
        "outside": logps.grad[outside].abs().max().item() if outside.any() else 0.0,
        "inside": logps.grad.abs().sum().item(),
        "finite": bool(torch.isfinite(logps.grad).all()),
        "logps": logps.tolist(),
        "old": batch.old_per_token_logps.tolist(),
        "advantages": batch.advantages.tolist(),
        "mask": batch.completion_mask.tolist(),
        "divisor": batch.num_items_in_batch.item(),
        "gradient": logps.grad.tolist(),
        "rows": [
            {name: row[name] for name in ("trajectory_id", "kind", "ids", "loss", "divisor")}
            for row in batch.rows
        ],
    }


if __name__ == "__main__":
    main(*sys.argv[1:3])
