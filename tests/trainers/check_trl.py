"""Runs in .venv-trl, without dfgen: the real GRPOTrainer takes the table `groups` as it is.

python check_trl.py FOLDER MODEL: one online step with pictures; prints what it saw as JSON.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from typing import Any

import torch
from datasets import load_dataset
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import GRPOConfig, GRPOTrainer


def main(folder: str, model_path: str) -> None:
    table = load_dataset("parquet", data_files=f"{folder}/*.parquet", split="train")
    model = AutoModelForImageTextToText.from_pretrained(model_path, dtype="float32")
    processor = AutoProcessor.from_pretrained(model_path)
    seen: dict[str, Any] = {"columns": [], "rows": []}

    def reward(prompts: Any, completions: Any, answer: Any, **columns: Any) -> list[float]:
        seen["columns"] = sorted(columns)
        for index, prompt in enumerate(prompts):
            trajectories = columns["trajectories"][index]
            seen["rows"].append(
                {
                    "prompt_id": columns["prompt_id"][index],
                    "pictures": [hash_pixels(image) for image in columns["images"][index]],
                    "prompt": json.dumps(prompt, default=str),
                    "answer": answer[index],
                    "completion": completions[index][0]["content"],
                    "masks": [sum(t["loss_mask"]) for t in trajectories],
                }
            )
        return [float(index % 2) for index in range(len(prompts))]

    pixels: list[list[int]] = []

    def watch(_model: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        if kwargs.get("pixel_values") is not None:
            pixels.append(list(kwargs["pixel_values"].shape))

    model.register_forward_pre_hook(watch, with_kwargs=True)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    arguments = GRPOConfig(
        output_dir=tempfile.mkdtemp(),
        max_steps=1,
        per_device_train_batch_size=4,
        num_generations=2,
        max_completion_length=24,
        learning_rate=1e-3,
        use_cpu=True,
        bf16=False,
        report_to=[],
        logging_steps=1,
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=reward,
        args=arguments,
        train_dataset=table,
        processing_class=processor,
    )
    trainer.train()
    moved = sum(not torch.equal(before[name], value) for name, value in model.named_parameters())
    log = next(entry for entry in trainer.state.log_history if "loss" in entry)
    print(
        json.dumps(
            {
                "steps": trainer.state.global_step,
                "loss": log["loss"],
                "grad_norm": log["grad_norm"],
                "moved": moved,
                "pixel_values": pixels[:1],
                **seen,
            }
        )
    )


def hash_pixels(image: Any) -> str:
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


if __name__ == "__main__":
    main(*sys.argv[1:3])
