"""Writes stored answers as slime's rollout files, and hands slime their advantages.

slime reads one file per step (`--load-debug-rollout-data`, without SGLang, or its own
`forge_load` beside it). An answer's advantage waits in its metadata until `give_advantages`
(`--custom-reward-post-process-path`) returns it as the reward after normalisation. slime has one
number per answer, so mask mode is `loss` and there are no soft weights. Written by the sources of
slime at commit 624b824; not run against it, as its trainer needs Megatron and GPUs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfgen.errors import ConfigError, InputError
from dfgen.trainers.prompting import encode_prompt
from dfgen.trainers.rows import check_old_logprobs

if TYPE_CHECKING:
    from dfgen.trainers.example import Example
    from dfgen.trainers.examples import Examples

ADVANTAGE, LIKELIHOOD = "dfgen_advantage", "dfgen_likelihood"
ESTIMATORS = ("grpo", "gspo", "cispo")


def write_rollouts(
    examples: Examples, folder: str | Path, processor: Any, *, batch_size: int
) -> int:
    """Write `0.pt`, `1.pt`, ... into a folder, one batch each, and return how many.

    A short last batch is left out, as slime's schedule wants whole ones. Recipes with likelihood
    are written without log-probs: slime then takes those of the policy at the start of each step,
    by which the ratio is 1 and its gradient that of likelihood.

    Args:
        examples: of `make_examples`, by a recipe with mask mode `loss`.
        folder: made if absent.
        processor: of the model to be trained.
        batch_size: slime's `--global-batch-size`.

    Raises:
        ConfigError: the recipe has another mask mode or soft weights.
        InputError: fewer examples than one batch, or old log-probs are missing.
    """
    import torch

    recipe, folder, count = examples.recipe, Path(folder), 0
    if recipe.mask_mode != "loss" or recipe.weights:
        raise ConfigError(
            "slime has one advantage per answer: mask mode `loss` without soft weights.",
            where=f"recipe {recipe.name}",
            hint="Use recipe.change(mask_mode='loss', weights=False).",
        )
    likelihood = recipe.right_loss == "likelihood" or (
        recipe.positives != "none" and recipe.positive_loss == "likelihood"
    )
    folder.mkdir(parents=True, exist_ok=True)
    samples = _make_samples(examples, processor, with_logprobs=not likelihood)
    while len(batch := list(islice(samples, batch_size))) == batch_size:
        torch.save({"rollout_id": count, "samples": batch}, folder / f"{count}.pt")
        count += 1
    if not count:
        raise InputError(
            f"there are {len(batch)} examples, fewer than one batch of {batch_size}.",
            hint="Use a smaller --global-batch-size, or more data.",
        )
    return count


def _make_samples(
    examples: Examples, processor: Any, *, with_logprobs: bool
) -> Iterator[dict[str, Any]]:
    index = -1
    for group, members in enumerate(examples.iter_groups()):
        prompt: list[int] = []
        inputs: dict[str, Any] = {}
        for example in members:
            index += 1
            if not prompt:
                prompt, inputs = encode_prompt(example.prompt, example.images, processor)
            if with_logprobs:
                check_old_logprobs(example)
            old = example.old_logprobs if with_logprobs else None
            yield {
                "group_index": group,
                "index": index,
                "prompt": "".join(message["content"] for message in example.messages),
                "tokens": [*prompt, *example.ids.tolist()],
                "multimodal_train_inputs": inputs or None,
                "response": example.text,
                "response_length": len(example.ids),
                "reward": example.reward,
                "loss_mask": [int(kept) for kept in example.loss_mask],
                "rollout_log_probs": None if old is None else old.tolist(),
                "status": "truncated" if example.finish_reason == "length" else "completed",
                "metadata": {
                    "trajectory_id": example.trajectory_id,
                    ADVANTAGE: find_advantage(example),
                    LIKELIHOOD: example.loss == "likelihood",
                },
            }


def find_advantage(example: Example) -> float:
    """Return the one advantage that all tokens in the mask have; 0 of an empty mask."""
    values = example.advantages[example.loss_mask]
    return float(values[0]) if len(values) else 0.0


def give_advantages(args: Any, samples: list[Any]) -> tuple[list[float], list[float]]:
    """Return rewards as graded, and the stored advantages in place of normalised rewards.

    slime calls this by `--custom-reward-post-process-path dfgen.trainers.slime.give_advantages`.

    Args:
        args: slime's.
        samples: `Sample`s of one step.

    Raises:
        ConfigError: slime would change the advantages, or take the ratio of repairs to nothing.
    """
    wrong = None
    if args.advantage_estimator not in ESTIMATORS:
        wrong = f"--advantage-estimator must be one of {', '.join(ESTIMATORS)}"
    elif args.normalize_advantages:
        wrong = "--normalize-advantages must be off: it computes a baseline of its own"
    elif any(sample.metadata[LIKELIHOOD] for sample in samples):
        if args.use_rollout_logprobs:
            wrong = "--use-rollout-logprobs does not go with recipes that have likelihood"
        elif args.global_batch_size != len(samples):
            wrong = (
                f"--global-batch-size must be {len(samples)}: from the second update of a step on "
                "the ratio is no longer 1, and likelihood is clipped"
            )
    if wrong:
        raise ConfigError(f"{wrong}.", hint="Or train repairs by recipe.change(positives='none').")
    advantages = [float(sample.metadata[ADVANTAGE]) for sample in samples]
    return [float(sample.reward) for sample in samples], advantages
