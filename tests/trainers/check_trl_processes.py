"""Runs in .venv-trl, alone or by `accelerate launch` in several processes: one update of 24 rows.

python check_trl_processes.py FOLDER MODEL OUT: writes how the weights moved, by plain gradient
descent, to OUT as JSON; then takes one more step with fresh answers.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import trl_watch

ROWS = 24


def main(folder: str, model_path: str, out: str) -> None:
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    found: dict[str, Any] = {"processes": processes}
    for loss, accumulate in (("dapo", 1), ("grpo", 2)):
        trainer, _ = trl_watch.make_trainer(
            folder,
            model_path,
            "df+repair",
            loss_type=loss,
            per_device_train_batch_size=ROWS // processes // accumulate,
            gradient_accumulation_steps=accumulate,
            optim="sgd",
            max_grad_norm=0,
            learning_rate=1.0,
        )
        before = trl_watch.copy_weights(trainer)
        trainer.train()
        found[loss] = {
            name.removeprefix("module."): [
                float((value.detach() - before[name]).sum()),
                float((value.detach() - before[name]).norm()),
            ]
            for name, value in trainer.model.named_parameters()
        }

    def reward(completions: Any, **_: Any) -> list[float]:
        return [float(len(completion[0]["content"]) % 2) for completion in completions]

    trainer, _ = trl_watch.make_trainer(
        folder,
        model_path,
        "df+repair",
        trainer={"reward_funcs": reward, "fresh_share": 0.5},
        per_device_train_batch_size=ROWS // processes,
        num_generations=3,
        max_completion_length=48,
    )
    trainer.train()
    found["fresh steps"] = trainer.state.global_step
    if trainer.accelerator.is_main_process:
        Path(out).write_text(json.dumps(found))
        print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
