"""Trains on a table of groups with the study's loop and with TRL, which must agree.

    make trainers-env
    dfgen demo --out runs/proof --count 16
    dfgen export runs/proof --to groups --out runs/proof-groups
    python -m tests.benchmarks.study.replay runs/proof-groups .venv-trl/bin/python

prints the loss of each step by the loop and by TRL, for GRPO, the masked failed side, and that with
the repairs' new tokens or with whole repairs. All answers make one batch, so that both take the
same steps; from the second step on the ratio has left 1 and clips. Groups that are all right or all
wrong are left out: the adapter drops answers without an advantage, whose tokens the loop still
counts in its divisor.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image

from dfgen.demo.batches import render_policy_prompt, scale_pictures
from dfgen.diff import diff_pair
from tests.benchmarks.study.loop import (
    BETAS,
    MAX_NORM,
    Run,
    Sampled,
    open_run,
    plan_rows,
    take_step,
)
from tests.benchmarks.study.sampler import Completion, Prompts
from tests.benchmarks.study.settings import Settings

ARMS = {"grpo": "grpo", "df": "df", "df+repair": "df+new", "df+whole": "df+whole"}
"""Arms of the study by the recipe of dfgen that they are."""

STEPS, RATE, SEED = 12, 1e-4, 1

Groups = list[dict[str, Any]]


def keep_mixed(folder: Path, out: Path) -> Groups:
    """Write the groups in which some answers are right and some wrong to another folder.

    Args:
        folder: of `dfgen export --to groups`, in one file.
        out: is made.
    """
    (file,) = folder.glob("*.parquet")
    table = pq.read_table(file)
    rewards = [[r["reward"] for r in group] for group in table["trajectories"].to_pylist()]
    out.mkdir(parents=True, exist_ok=True)
    mixed = table.filter([0 < sum(group) < len(group) for group in rewards])
    pq.write_table(mixed, out / file.name)
    return list(mixed.to_pylist())


def replay_loop(groups: Groups, recipe: str, steps: int = STEPS) -> list[float]:
    """Return the loss before each step of the study's loop, at one rate throughout."""
    copies = len(groups[0]["trajectories"])
    settings = Settings(
        *("steps", "55", "offline", ARMS[recipe], RATE),
        rounds=1,
        questions=len(groups),
        copies=copies,
        batch_questions=len(groups),
    )
    torch.manual_seed(SEED)
    run = open_run(settings, SEED)
    prompts, answers = pack_groups(run, groups)
    rows = plan_rows(run, prompts, answers)
    tokens = sum(len(answer.completion.ids) for answer in answers)
    optimiser = torch.optim.AdamW(run.model.parameters(), lr=RATE, betas=BETAS, weight_decay=0.0)
    return [take_step(run, optimiser, prompts, rows, tokens) for _ in range(steps)]


def pack_groups(run: Run, groups: Groups) -> tuple[Prompts, list[Sampled]]:
    """Turn groups of the demo into what the loop would have sampled and repaired itself."""
    questions = [group["problem"].removeprefix("<image>") for group in groups]
    texts = [render_policy_prompt(question) for question in questions]
    pictures = np.stack(
        [np.array(Image.open(BytesIO(g["images"][0]["bytes"])).convert("RGB")) for g in groups]
    )
    ids = run.speaker(texts, add_special_tokens=False)["input_ids"]
    answers = []
    for index, group in enumerate(groups):
        for row in group["trajectories"]:
            logprobs = torch.tensor(row["logprobs"], dtype=torch.float32)
            completion = Completion(row["completion_ids"], logprobs, 0.0)
            text = row["completion_text"]
            answer = Sampled(index, completion, text, row["reward"] == 1.0)
            if row["repair"] is not None:
                answer.diff = diff_pair(
                    text, row["repair"], run.tokenizer, completion_ids=row["completion_ids"]
                )
            answers.append(answer)
    return Prompts(ids, scale_pictures(pictures)), answers


def replay_trl(python: Path, folder: Path, recipe: str, steps: int = STEPS) -> list[float]:
    """Return the same of TRL, through dfgen's adapter, with the same settings.

    Args:
        python: of an environment with TRL and dfgen.
    """
    script = Path(__file__).parents[2] / "trainers/check_trl_study.py"
    choices = {"steps": steps, "rate": RATE, "betas": BETAS, "max_norm": MAX_NORM, "seed": SEED}
    command = [str(python), str(script), str(folder.resolve()), recipe, json.dumps(choices)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    losses: list[float] = json.loads(printed.splitlines()[-1])
    return losses


def main() -> None:
    """Print both curves for each recipe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("groups", type=Path, help="of `dfgen export RUN --to groups --out GROUPS`")
    parser.add_argument("python", type=Path, help="of an environment with TRL and dfgen")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp())
    groups = keep_mixed(arguments.groups, folder)
    for recipe in ARMS:
        loop = replay_loop(groups, recipe)
        trl = replay_trl(arguments.python, folder, recipe)
        print(f"{recipe}\n  step  loop        TRL         difference")
        for step, (one, other) in enumerate(zip(loop, trl, strict=True), 1):
            print(f"  {step:>4}  {one:+.7f}  {other:+.7f}  {abs(one - other):.1e}")


if __name__ == "__main__":
    main()
