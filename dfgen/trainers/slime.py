"""Gives slime stored answers: as files of whole steps, or by a rollout function over an export.

slime reads one file per step (`--load-debug-rollout-data`, without SGLang, or its own
`forge_load` beside it), which `write_rollouts` makes; or `replay_rollout` fills in the rows of
`dfgen export --to slime` as slime draws them, and SGLang is there for evaluation. An answer's
advantage waits in its metadata until `give_advantages` (`--custom-reward-post-process-path`)
returns it as the reward after normalisation. slime has one number per answer, so mask mode is
`loss` and there are no soft weights. Written by the sources of slime at commit 624b824; not run
against it, as its trainer needs Megatron and GPUs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfgen.errors import ConfigError, InputError
from dfgen.trainers.prompting import check_ids, encode_prompt
from dfgen.trainers.rows import check_old_logprobs

if TYPE_CHECKING:
    from dfgen.trainers.examples import Examples

ADVANTAGE, LIKELIHOOD, TEMPERATURE = "dfgen_advantage", "dfgen_likelihood", "temperature"
ESTIMATORS = ("grpo", "gspo", "cispo")


def write_rollouts(
    examples: Examples,
    folder: str | Path,
    processor: Any,
    *,
    batch_size: int,
    temperature: float = 1.0,
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
        temperature: that `make_examples` was given.

    Raises:
        ConfigError: the recipe has another mask mode or soft weights.
        InputError: fewer examples than one batch, old log-probs are missing, or the processor is
            of another tokenizer.
    """
    import torch

    check_ids(examples.tokenizer_sha256, processor)
    recipe, folder, count = examples.recipe, Path(folder), 0
    likelihood = recipe.right_loss == "likelihood" or (
        recipe.positives != "none" and recipe.positive_loss == "likelihood"
    )
    folder.mkdir(parents=True, exist_ok=True)
    samples = _make_samples(examples, processor, temperature, with_logprobs=not likelihood)
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
    examples: Examples, processor: Any, temperature: float, *, with_logprobs: bool
) -> Iterator[dict[str, Any]]:
    index = 0
    for group, members in enumerate(examples.iter_groups()):
        first = members[0]
        prompt, inputs = encode_prompt(first.prompt, first.images, processor)
        for example in members:
            if with_logprobs:
                check_old_logprobs(example)
            numbers = {
                "trajectory_id": example.trajectory_id,
                "completion_ids": example.ids.tolist(),
                "loss_mask": example.loss_mask.tolist(),
                "advantages": example.advantages.tolist(),
                "old_logprobs": None
                if example.old_logprobs is None
                else example.old_logprobs.tolist(),
                "loss": example.loss,
                "reward": example.reward,
                "finish_reason": example.finish_reason,
                TEMPERATURE: temperature,
            }
            yield {
                "group_index": group,
                "index": index,
                "prompt": "".join(message["content"] for message in example.messages),
                "response": example.text,
                "status": "truncated" if example.finish_reason == "length" else "completed",
                **make_fields(numbers, prompt, inputs, with_logprobs=with_logprobs),
            }
            index += 1


def make_fields(
    numbers: Mapping[str, Any],
    prompt: list[int],
    inputs: dict[str, Any],
    *,
    with_logprobs: bool,
) -> dict[str, Any]:
    """Return the fields of slime's `Sample` that make an answer ready for its loss.

    Args:
        numbers: of the answer, by the names of `dfgen export --to slime`.
        prompt: its token ids.
        inputs: tensors of its pictures.
        with_logprobs: False leaves old log-probs to slime.

    Raises:
        ConfigError: tokens in the loss mask have different advantages.
    """
    mask = [int(kept) for kept in numbers["loss_mask"]]
    kept = [value for value, use in zip(numbers["advantages"], mask, strict=True) if use]
    if kept and max(kept) - min(kept) > 1e-6:
        raise ConfigError(
            "slime has one advantage per answer: mask mode `loss` without soft weights.",
            where=f"trajectory {numbers['trajectory_id']}",
            hint="Use recipe.change(mask_mode='loss', weights=False).",
        )
    return {
        "tokens": [*prompt, *numbers["completion_ids"]],
        "multimodal_train_inputs": inputs or None,
        "response_length": len(mask),
        "reward": float(numbers["reward"]),
        "loss_mask": mask,
        "rollout_log_probs": list(numbers["old_logprobs"]) if with_logprobs else None,
        "metadata": {
            "trajectory_id": numbers["trajectory_id"],
            TEMPERATURE: numbers[TEMPERATURE],
            ADVANTAGE: float(kept[0]) if kept else 0.0,
            LIKELIHOOD: numbers["loss"] == "likelihood",
        },
    }


def replay_rollout(args: Any, rollout_id: int, data_source: Any, evaluation: bool = False) -> Any:
    """Return the stored answers of the next rows; live ones of SGLang where slime evaluates.

    slime calls this by `--rollout-function-path dfgen.trainers.slime.replay_rollout`.

    Args:
        args: slime's, with `--n-samples-per-prompt 1` and `--apply-chat-template`.
        rollout_id: of the step.
        data_source: whose rows are those of `dfgen export --to slime`.
        evaluation: whether slime evaluates.

    Returns:
        Groups of one `Sample`.

    Raises:
        ConfigError: several samples per prompt, or mask mode `advantage`.
        InputError: a row without a stored answer, or without old log-probs, or of another
            tokenizer.
    """
    if evaluation:
        from slime.rollout.sglang_rollout import generate_rollout

        return generate_rollout(args, rollout_id, data_source, evaluation=True)
    if args.n_samples_per_prompt != 1:
        raise ConfigError("--n-samples-per-prompt must be 1: each row is one answer.")
    groups = data_source.get_samples(args.rollout_batch_size)
    samples = [sample for group in groups for sample in group]
    if any("completion_ids" not in sample.metadata for sample in samples):
        raise InputError(
            "a row has no stored answer in its metadata.",
            hint="Write --prompt-data with dfgen export RUN --to slime --out DIR, and set "
            "--metadata-key metadata.",
        )
    likelihood = any(sample.metadata["loss"] == "likelihood" for sample in samples)
    for sample in samples:
        _fill(sample, load_processor(args.hf_checkpoint), with_logprobs=not likelihood)
    return groups


@lru_cache
def load_processor(path: str) -> Any:
    """Load a model's processor once."""
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(path)


def _fill(sample: Any, processor: Any, *, with_logprobs: bool) -> None:
    numbers = sample.metadata
    check_ids(numbers["tokenizer_sha256"], processor)
    if with_logprobs and numbers["old_logprobs"] is None:
        raise InputError(
            "the answer has no old log-probs.",
            where=f"trajectory {numbers['trajectory_id']}",
            hint="Run `dfgen score` and export again.",
        )
    pictures = {name: v for name, v in (sample.multimodal_inputs or {}).items() if v}
    inputs = dict(
        processor(text=[sample.prompt], return_tensors="pt", add_special_tokens=False, **pictures)
    )
    prompt = inputs.pop("input_ids")[0].tolist()
    for name in ("attention_mask", "mm_token_type_ids"):
        inputs.pop(name, None)
    fields = make_fields(numbers, prompt, inputs, with_logprobs=with_logprobs)
    for name, value in fields.items():
        setattr(sample, name, value)
    kinds = type(sample).Status
    sample.status = kinds.TRUNCATED if numbers["finish_reason"] == "length" else kinds.COMPLETED


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
    elif any(sample.metadata[TEMPERATURE] != args.rollout_temperature for sample in samples):
        wrong = (
            f"--rollout-temperature is {args.rollout_temperature}, and the old log-probs are those "
            f"at {samples[0].metadata[TEMPERATURE]}"
        )
    elif any(sample.metadata[LIKELIHOOD] for sample in samples):
        if args.use_rollout_logprobs:
            wrong = "--use-rollout-logprobs does not go with recipes that have likelihood"
        elif args.global_batch_size != len(samples):
            wrong = (
                f"--global-batch-size must be {len(samples)}: from the second update of a step on "
                "the ratio is no longer 1, and likelihood is clipped"
            )
    if wrong:
        raise ConfigError(f"{wrong}.", where="slime's arguments")
    advantages = [float(sample.metadata[ADVANTAGE]) for sample in samples]
    return [float(sample.reward) for sample in samples], advantages
