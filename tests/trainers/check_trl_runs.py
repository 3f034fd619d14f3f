"""Runs in .venv-trl: fresh answers, evaluation, adapters, checkpointing, damaged data, refusals.

python check_trl_runs.py FOLDER MODEL: prints what each case ended in as JSON.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import trl_watch
from peft import LoraConfig

from dfgen.errors import DfgenError
from dfgen.sealed_json import seal
from dfgen.trainers.recipe import find_recipe
from dfgen.trainers.rounds import load_rounds
from dfgen.trainers.trl import DiffGRPOTrainer, load_rows


def main(folder: str, model_path: str) -> None:
    found = {
        "fresh": run_fresh(folder, model_path),
        "peft": run_peft(folder, model_path),
        "checkpointing": run_checkpointing(folder, model_path),
        "workers": run_plain(folder, model_path, dataloader_num_workers=1),
        "all wrong": run_all_wrong(folder, model_path),
        "no log-probs": run_without_logprobs(folder, model_path),
        "empty mask": run_empty_masks(folder, model_path),
        "placeholder": run_placeholder(folder, model_path),
        "truncated": run_truncated(folder, model_path),
        "rounds": run_rounds(folder, model_path),
        "refused": collect_refusals(folder, model_path),
    }
    print(json.dumps(found))


def train(folder: Any, model_path: str, recipe: Any = "df+repair", **choices: Any) -> Any:
    trainer, rows = trl_watch.make_trainer(folder, model_path, recipe, **choices)
    before = trl_watch.copy_weights(trainer)
    trainer.train()
    weights = torch.cat([value.detach().flatten() for value in trainer.model.parameters()])
    return trainer, {
        "rows": len(rows),
        "steps": trainer.state.global_step,
        "moved": trl_watch.count_moved(trainer, before),
        "finite": bool(torch.isfinite(weights).all())
        and all(bool(torch.isfinite(step.gradient).all()) for step in trainer.seen),
        "gradient": max(float(step.gradient.abs().max()) for step in trainer.seen),
        "log": next(entry for entry in trainer.state.log_history if "loss" in entry),
    }


def run_plain(folder: Any, model_path: str, **settings: Any) -> dict[str, Any]:
    return train(folder, model_path, **settings)[1]


def run_fresh(folder: str, model_path: str) -> dict[str, Any]:
    """A quarter of each batch is generated; evaluation generates all, and grades it."""
    graded: list[dict[str, Any]] = []

    def reward(prompts: Any, completions: Any, answer: Any, **columns: Any) -> list[float]:
        texts = [completion[0]["content"] for completion in completions]
        graded.append({"prompts": len(prompts), "ids": columns.get("prompt_id")})
        return [
            float(text.endswith(f"Answer: {right}"))
            for text, right in zip(texts, answer, strict=True)
        ]

    held_out = load_rows(folder, say=None).select(range(4))
    plain = datasets.Dataset.from_list(
        [{name: row[name] for name in ("prompt", "answer")} for row in held_out]
    ).add_column("number", range(4))
    pictures = [row["images"] for row in held_out]
    plain = plain.with_transform(
        lambda batch: {**batch, "images": [pictures[number] for number in batch["number"]]}
    )
    trainer, found = train(
        folder,
        model_path,
        trainer={"reward_funcs": reward, "eval_dataset": plain, "fresh_share": 0.25},
        num_generations=3,
        num_iterations=2,
        max_steps=2,
        max_completion_length=48,
        per_device_eval_batch_size=12,
    )
    trained = list(graded)
    graded.clear()
    found["graded in training"] = [each["prompts"] for each in trained]
    found["groups"] = [each["ids"] for each in trained]
    weights = trl_watch.copy_weights(trainer)
    found["evaluation"] = trainer.evaluate()
    found["graded in evaluation"] = sum(each["prompts"] for each in graded)
    found["moved by evaluation"] = trl_watch.count_moved(trainer, weights)
    # Fresh rows come first; at the first update their ratio is 1 and their loss -A.
    found["fresh gradient"] = float(trainer.seen[0].gradient[:6].abs().max())
    return found


def run_peft(folder: str, model_path: str) -> dict[str, Any]:
    adapter = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    found = train(folder, model_path, trainer={"peft_config": adapter}, beta=0.1, max_steps=2)
    names = [name for name, value in found[0].model.named_parameters() if value.requires_grad]
    return {**found[1], "adapters": len(names), "only": all("lora" in name for name in names)}


def run_checkpointing(folder: str, model_path: str) -> dict[str, Any]:
    """Equal gradients with and without, as far as float32 goes."""
    gradients = []
    for on in (False, True):
        _, found = train(folder, model_path, gradient_checkpointing=on)
        gradients.append(found["log"]["grad_norm"])
    return {**found, "difference": abs(gradients[0] - gradients[1])}


def run_all_wrong(folder: str, model_path: str) -> dict[str, Any]:
    """Every answer fails: GRPO has no gradient, the repairs have."""

    def fail(group: dict[str, Any]) -> bool:
        for row in group["trajectories"]:
            row["reward"] = 0.0
        return any(row["repair_ids"] for row in group["trajectories"])

    changed = change_groups(folder, fail)
    found = run_plain(changed, model_path, per_device_train_batch_size=8)
    try:
        load_rows(changed, "grpo", say=None)
    except DfgenError as error:
        found["grpo"] = str(error)
    return found


def run_without_logprobs(folder: str, model_path: str) -> dict[str, Any]:
    def forget(group: dict[str, Any]) -> bool:
        group["trajectories"][0]["logprobs"] = None
        if group["trajectories"][1]["logprobs"]:
            group["trajectories"][1]["logprobs"][3] = None
        return True

    said: list[str] = []
    found = run_plain(change_groups(folder, forget), model_path, say=said.append, num_iterations=2)
    return {**found, "said": " ".join(said)}


def run_empty_masks(folder: str, model_path: str) -> dict[str, Any]:
    def empty(group: dict[str, Any]) -> bool:
        for row in group["trajectories"]:
            if row["repair_ids"] is not None:
                row["loss_mask"] = [False] * len(row["loss_mask"])
                row["repair_mask"] = [False] * len(row["repair_mask"])
        return True

    recipe = find_recipe("df+repair").change(mask_mode="loss")
    changed = change_groups(folder, empty)
    return run_plain(changed, model_path, recipe=recipe, per_device_train_batch_size=8)


def run_placeholder(folder: str, model_path: str) -> dict[str, Any]:
    """A policy can sample the id that stands for a picture."""
    image = trl_watch.AutoProcessor.from_pretrained(model_path).image_token_id
    changed_rows = []

    def plant(group: dict[str, Any]) -> bool:
        rewards = {row["reward"] for row in group["trajectories"]}
        if not changed_rows and len(rewards) > 1:
            group["trajectories"][0]["completion_ids"][2] = image
            changed_rows.append(group["trajectories"][0]["trajectory_id"])
        return True

    changed = change_groups(folder, plant)
    found = run_plain(changed, model_path)
    found["left out"] = len(load_rows(changed, say=None)) - found["rows"]
    found["unchecked"] = refuse(
        lambda: DiffGRPOTrainer(
            trl_watch.AutoModelForImageTextToText.from_pretrained(model_path),
            args=trl_watch.GRPOConfig(tempfile.mkdtemp(), use_cpu=True, bf16=False),
            train_dataset=load_rows(changed, say=None),
            processing_class=trl_watch.AutoProcessor.from_pretrained(model_path),
        )
    )
    return found


def run_truncated(folder: str, model_path: str) -> dict[str, Any]:
    """An answer without an end token is trained on as it is."""

    def cut(group: dict[str, Any]) -> bool:
        for row in group["trajectories"]:
            if row["repair_ids"] is None:
                row["finish_reason"] = "length"
                for name in ("completion_ids", "loss_mask", "logprobs"):
                    row[name] = row[name][:-3]
        return True

    return run_plain(change_groups(folder, cut), model_path)


def run_rounds(folder: str, model_path: str) -> dict[str, Any]:
    """Two rounds together: the same groups, of which the second run was begun later."""
    root = Path(tempfile.mkdtemp())
    for number in (1, 2):
        shutil.copytree(folder, root / str(number))
        manifest = root / str(number) / "dfgen.json"
        noted = json.loads(manifest.read_text())
        noted["run_created"] = f"2026-01-0{number}T00:00:00+00:00"
        manifest.write_text(json.dumps(seal(noted)))
    return run_plain(load_rounds(root, say=None), model_path)


def collect_refusals(folder: str, model_path: str) -> dict[str, str]:
    def make(recipe: Any = "df+repair", **choices: Any) -> Callable[[], Any]:
        return lambda: trl_watch.make_trainer(folder, model_path, recipe, **choices)

    def give(**choices: Any) -> Callable[[], Any]:
        return make(trainer=choices)

    rows = load_rows(folder, say=None)
    return {
        name: refuse(action)
        for name, action in {
            "vllm": make(use_vllm=True),
            "temperature": make(temperature=0.7),
            "temperature of rows": lambda: load_rows(folder, temperature=0.7, say=None),
            "truncated": make(mask_truncated_completions=True),
            "columns": make(remove_unused_columns=True),
            "sequence": make(importance_sampling_level="sequence"),
            "batch": make(per_device_train_batch_size=3000),
            "no rows": lambda: DiffGRPOTrainer(
                model_path,
                args=trl_watch.GRPOConfig(tempfile.mkdtemp(), use_cpu=True, bf16=False),
                train_dataset=datasets.Dataset.from_list([{"prompt": "a"}]),
            ),
            "tools": give(tools=[print]),
            "fresh without rewards": give(fresh_share=0.5),
            "evaluation without rewards": give(eval_dataset=rows),
            "share": give(fresh_share=1.0, reward_funcs=print),
            "small share": give(fresh_share=0.01, reward_funcs=print),
            "tokenizer": lambda: load_rows(folder, tokenizer="0" * 64, say=None),
            "newer": lambda: load_rows(change_label(folder), say=None),
            "recipe": lambda: load_rows(folder, "df+repairs", say=None),
            "nothing": lambda: load_rows(
                folder, find_recipe("df").change(failed="drop", unrepaired="drop", right="drop")
            ),
            "tokenizer of the model": lambda: trl_watch.make_trainer(
                change_tokenizer(folder), model_path, "df+repair", check=False
            ),
        }.items()
    }


def refuse(action: Callable[[], Any]) -> str:
    try:
        action()
    except DfgenError as error:
        return f"{type(error).__name__}: {error}"
    return "accepted"


def change_groups(folder: str, change: Callable[[dict[str, Any]], bool]) -> str:
    """Write the groups for which `change` says True, changed in place, to another folder."""
    out = Path(tempfile.mkdtemp())
    for file in sorted(Path(folder).glob("*.parquet")):
        table = pq.read_table(file)
        rows = [group for group in table.to_pylist() if change(group)]
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), out / file.name)
    return str(out)


def change_label(folder: str) -> str:
    return change_metadata(folder, b"dfgen.table", b"groups/2")


def change_tokenizer(folder: str) -> str:
    return change_metadata(folder, b"dfgen.tokenizer", b"0" * 64)


def change_metadata(folder: str, key: bytes, value: bytes) -> str:
    out = Path(tempfile.mkdtemp())
    for file in Path(folder).glob("*.parquet"):
        table = pq.read_table(file)
        metadata = {**(table.schema.metadata or {}), key: value}
        pq.write_table(table.replace_schema_metadata(metadata), out / file.name)
    return str(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
