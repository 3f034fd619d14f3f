"""Trains the models that the study starts from: ``python -m tests.benchmarks.study.train_starts``.

A policy learns the chains from true answers, as the demo's does. While it learns, it passes through
all shares of right answers; from three of its snapshots the learning rate is brought down, so that
no arm gains merely because its own rate is smaller, and each is kept where it is right on about
10, 30 and 55 % at T = 1. Stages: `trunk`, then `anneal`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from dfgen.demo.architecture import build_model
from dfgen.demo.batches import pack_batch, render_policy_prompt, scale_pictures
from dfgen.demo.optimise import train_steps
from dfgen.demo.saving import save_model
from dfgen.demo.tokenizer import POLICY_CHAT_TEMPLATE
from dfgen.demo.train_policy import LAYERS, compute_token_loss
from dfgen.demo.train_vision import train_vision
from tests.benchmarks.study.chain_tokenizer import build_chain_tokenizer
from tests.benchmarks.study.chains import KINDS, draw_chains
from tests.benchmarks.study.sampler import Prompts, draw_completions

RATE, ANNEAL_RATE = 1e-3, 3e-4
VISION_STEPS = 500


def measure_right(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, count: int
) -> dict[str, float]:
    """Return the share of right final answers at T = 1 for each kind."""
    model.eval()
    chains, pictures = draw_chains(np.random.default_rng([0, 9]), count)
    prompts = [render_policy_prompt(chain.question) for chain in chains]
    ids = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    drawn = draw_completions(
        model,
        Prompts(ids, scale_pictures(pictures)),
        1,
        max_tokens=84,
        generator=torch.Generator().manual_seed(9),
    )
    right: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    for chain, (completion,) in zip(chains, drawn, strict=True):
        text = tokenizer.decode(completion.ids, skip_special_tokens=True)
        right[chain.kind].append(text.endswith(f"Answer: {chain.answer}"))
    model.train()
    return {kind: sum(marks) / len(marks) for kind, marks in right.items()}


def train_on(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    out: Path,
    *,
    steps: int,
    decay: float,
    seed: int,
    rate: float,
    warm_up: int,
    keep_every: int = 0,
    batch_size: int = 64,
) -> None:
    """Train on fresh true answers; keep snapshots in ``out`` on the way."""
    rng = np.random.default_rng([seed, 2])
    done = 0

    def compute_loss(_step: int) -> torch.Tensor:
        nonlocal done
        done += 1
        chains, pictures = draw_chains(rng, batch_size)
        prompts = [render_policy_prompt(chain.question) for chain in chains]
        answers = [chain.write(rng) for chain in chains]
        return compute_token_loss(model, pack_batch(tokenizer, prompts, answers, pictures))

    def watch() -> tuple[str, bool]:
        if keep_every:
            # The output layer is the embedding under another name.
            own = {k: v.clone() for k, v in model.state_dict().items() if k != "lm_head.weight"}
            save_file(own, out / f"trunk-{done}.safetensors")
        right = measure_right(model, tokenizer, 192)
        return " ".join(f"{kind} {share:.3f}" for kind, share in right.items()), False

    train_steps(
        model.parameters(),
        compute_loss,
        steps=steps,
        rate=rate,
        decay=decay,
        warm_up=warm_up,
        watch=watch,
        watch_every=keep_every or steps,
    )


def main() -> None:
    """Run the stages from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="for snapshots and models")
    parser.add_argument("--stage", choices=("trunk", "anneal"), required=True)
    parser.add_argument("--steps", type=int, required=True, help="how many")
    parser.add_argument("--snapshot", type=int, help="anneal: from which step of the trunk")
    parser.add_argument("--name", help="anneal: of the start model, chains-10 for example")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = build_chain_tokenizer()
    torch.manual_seed(1)
    model = build_model(tokenizer, LAYERS)
    if arguments.stage == "trunk":
        model.model.vision_tower.load_state_dict(train_vision(0, VISION_STEPS))
        train_on(
            model,
            tokenizer,
            out,
            steps=arguments.steps,
            decay=0.0,
            seed=0,
            rate=RATE,
            warm_up=20,
            keep_every=25,
        )
        return
    weights = load_file(out / f"trunk-{arguments.snapshot}.safetensors")
    model.load_state_dict(weights, strict=False)
    # The optimiser begins anew; at the trunk's rate its first steps would undo what was learnt.
    train_on(
        model,
        tokenizer,
        out,
        steps=arguments.steps,
        decay=1.0,
        seed=arguments.snapshot,
        rate=ANNEAL_RATE,
        warm_up=5,
    )
    save_model(model.eval(), tokenizer, POLICY_CHAT_TEMPLATE, out / arguments.name)


if __name__ == "__main__":
    main()
