"""Runs in .venv-trl: the real SFTTrainer takes `sft`, and SDFT composes prompts of `privileged`.

python check_sft.py SFT PRIVILEGED MODEL: one step with pictures; prints what it saw as JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
from types import SimpleNamespace
from typing import Any

import torch
from datasets import load_dataset
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import SFTConfig, SFTTrainer
from trl.experimental.sdft import SDFTConfig
from trl.experimental.sdft.sdft_trainer import DemonstrationTeacherContextBuilder


def main(sft: str, privileged: str, model_path: str) -> None:
    table = load_dataset("parquet", data_files=f"{sft}/*.parquet", split="train")
    table = table.remove_columns("messages")
    model = AutoModelForImageTextToText.from_pretrained(model_path, dtype="float32")
    processor = AutoProcessor.from_pretrained(model_path)
    seen: list[dict[str, Any]] = []

    def watch(_model: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        labels = kwargs["labels"]
        for row in labels.tolist():
            text = processor.tokenizer.decode([token for token in row if token != -100])
            seen.append({"text": text, "pixels": list(kwargs["pixel_values"].shape[1:])})

    model.register_forward_pre_hook(watch, with_kwargs=True)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    arguments = SFTConfig(
        output_dir=tempfile.mkdtemp(),
        max_steps=1,
        per_device_train_batch_size=4,
        learning_rate=1e-3,
        max_length=None,
        use_cpu=True,
        bf16=False,
        report_to=[],
        logging_steps=1,
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = SFTTrainer(
        model=model, args=arguments, train_dataset=table, processing_class=processor
    )
    trainer.train()
    moved = sum(not torch.equal(before[name], value) for name, value in model.named_parameters())
    loss = next(entry["loss"] for entry in trainer.state.log_history if "loss" in entry)
    print(
        json.dumps(
            {"loss": loss, "moved": moved, "seen": seen, "teacher": compose_prompts(privileged)}
        )
    )


def compose_prompts(privileged: str) -> list[str]:
    template = SDFTConfig.__dataclass_fields__["teacher_prompt_template"].default
    trainer = SimpleNamespace(args=SimpleNamespace(teacher_prompt_template=template))
    builder = DemonstrationTeacherContextBuilder(trainer)
    table = load_dataset("parquet", data_files=f"{privileged}/*.parquet", split="train")
    composed = builder.select_generation_prompts(table["prompt"], table["privileged_context"])
    return [messages[-1]["content"] for messages in composed]


if __name__ == "__main__":
    main(*sys.argv[1:4])
