"""Trains the demo models from scratch: ``python -m dfgen.demo.train --out DIR``.

Stages, each of which reads what the ones before it left in DIR: ``vision`` (vision.safetensors),
``policy`` (policy/), ``editor`` (repairer/). The same seed on the same machine gives the same
models; elsewhere, models of the same quality. Needs torch; run it with OMP_NUM_THREADS=1, threads
only get in each other's way at this size.
"""

import argparse
import time
from pathlib import Path

VISION_STEPS = 500
POLICY_MAX_STEPS = 1000
POLICY_TARGET = 0.5
EDITOR_STEPS = 900
TRAJECTORIES = 12_000
STAGES = ("vision", "policy", "editor")


def train_stage(stage: str, out: Path, seed: int) -> None:
    """Run one stage."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoModelForImageTextToText

    from dfgen.demo.saving import save_model
    from dfgen.demo.tokenizer import POLICY_CHAT_TEMPLATE, REPAIRER_CHAT_TEMPLATE, build_tokenizer
    from dfgen.demo.train_editor import train_editor
    from dfgen.demo.train_policy import train_policy
    from dfgen.demo.train_vision import train_vision
    from dfgen.demo.trajectories import draw_trajectories

    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    if stage == "vision":
        save_file(train_vision(seed, VISION_STEPS), out / "vision.safetensors")
        return
    vision = load_file(out / "vision.safetensors")
    tokenizer = build_tokenizer()
    if stage == "policy":
        policy = train_policy(
            tokenizer, vision, seed, max_steps=POLICY_MAX_STEPS, target=POLICY_TARGET
        )
        save_model(policy, tokenizer, POLICY_CHAT_TEMPLATE, out / "policy")
        return
    policy = AutoModelForImageTextToText.from_pretrained(out / "policy")
    drawn = draw_trajectories(policy, tokenizer, TRAJECTORIES, seed)
    repairer = train_editor(tokenizer, vision, drawn, seed=seed, steps=EDITOR_STEPS)
    save_model(repairer, tokenizer, REPAIRER_CHAT_TEMPLATE, out / "repairer")


def main() -> None:
    """Run the stages from the command line."""
    parser = argparse.ArgumentParser(description="Train the demo models.")
    parser.add_argument("--out", type=Path, required=True, help="directory for the models")
    parser.add_argument("--stage", choices=(*STAGES, "all"), default="all")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for stage in STAGES if arguments.stage == "all" else (arguments.stage,):
        started = time.process_time()
        train_stage(stage, arguments.out, arguments.seed)
        print(f"{stage}: {(time.process_time() - started) / 60:.1f} CPU-minutes")


if __name__ == "__main__":
    main()
