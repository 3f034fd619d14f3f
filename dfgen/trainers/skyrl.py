"""Gives SkyRL a generator that returns stored answers, and an estimator that keeps advantages.

SkyRL takes rewards per token, and that is how advantages travel. Mask modes: both; in mode
`advantage` without `use_kl_loss` and `kl_cov`, which act on every token in the loss mask.
Pictures: models whose processor gives `pixel_values` and `image_grid_thw`, as SkyRL knows no
others. Written by the sources of SkyRL at commit a956457; not run against it, as it needs CUDA.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dfgen.errors import ConfigError, InputError
from dfgen.trainers.prompting import check_ids, encode_prompt, split_messages

ESTIMATOR = "dfgen_stored"


class ReplayGenerator:
    """Returns the stored answers of the rows of `write_rows`; live ones where SkyRL evaluates.

    Args:
        processor: of the model to be trained.
        config: SkyRL's, checked once.
        live: the generator that SkyRL would have used.

    Raises:
        ConfigError: SkyRL would train on something else, in silence.
    """

    def __init__(self, processor: Any, config: Any, live: Any = None) -> None:
        check_config(config)
        self.processor, self.config, self.live = processor, config, live

    async def generate(self, input_batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return SkyRL's `GeneratorOutput` for its `GeneratorInput`.

        Raises:
            ConfigError: evaluation without a live generator, or mask mode `advantage` with a loss
                that moves all tokens.
            InputError: a row is none of `write_rows`, or its ids are of another tokenizer.
        """
        if input_batch["batch_metadata"].training_phase == "eval":
            if self.live is None:
                raise ConfigError(
                    "evaluation needs answers of the trained policy, and there is no generator.",
                    hint="Give ReplayGenerator(..., live=...), or set trainer.eval_interval=-1.",
                )
            output: dict[str, Any] = await self.live.generate(input_batch)
            return output
        rows = [
            (prompt, extra.get("dfgen"), extra.get("images") or [])
            for prompt, extra in zip(input_batch["prompts"], input_batch["env_extras"], strict=True)
        ]
        if any(stored is None for _, stored, _ in rows):
            raise InputError(
                "a row has no stored answer.", hint="Write data.train_data with write_rows."
            )
        for _, stored, _ in rows:
            check_ids(stored["tokenizer_sha256"], self.processor)
            check_mode(self.config.trainer.algorithm, stored)
        encoded = [encode_prompt(split_messages(p), i, self.processor) for p, _, i in rows]
        return make_output(
            [stored for _, stored, _ in rows], encoded, input_batch["trajectory_ids"]
        )


def make_output(
    answers: list[dict[str, Any]],
    encoded: list[tuple[list[int], dict[str, Any]]],
    trajectory_ids: Any,
) -> dict[str, Any]:
    """Return stored answers (the column `dfgen`) and encoded prompts as a `GeneratorOutput`.

    Log-probs are given if all answers have them; SkyRL says so where it cannot do without.
    """
    output: dict[str, Any] = {
        "prompt_token_ids": [ids for ids, _ in encoded],
        "response_ids": [list(answer["ids"]) for answer in answers],
        "rewards": [[float(value) for value in answer["advantages"]] for answer in answers],
        "loss_masks": [[int(kept) for kept in answer["loss_mask"]] for answer in answers],
        "stop_reasons": ["stop"] * len(answers),
        "rollout_metrics": {},
        "rollout_logprobs": None,
        "trajectory_ids": trajectory_ids,
    }
    if all(answer["old_logprobs"] is not None for answer in answers):
        output["rollout_logprobs"] = [list(answer["old_logprobs"]) for answer in answers]
    for name in ("pixel_values", "image_grid_thw"):
        if any(name in inputs for _, inputs in encoded):
            output[name] = [inputs.get(name) for _, inputs in encoded]
    return output


def keep_stored_advantages(
    token_level_rewards: Any, response_mask: Any, **_: Any
) -> tuple[Any, Any]:
    """Return the rewards as advantages and returns: no baseline, no scaling; float[B, T]."""
    advantages = token_level_rewards * response_mask
    return advantages, advantages


def register() -> None:
    """Make `trainer.algorithm.advantage_estimator=dfgen_stored` known to SkyRL."""
    from skyrl.backends.skyrl_train.utils.ppo_utils import AdvantageEstimatorRegistry

    AdvantageEstimatorRegistry.register(ESTIMATOR, keep_stored_advantages)


def check_config(config: Any) -> None:
    """Refuse settings under which SkyRL would train on something else. Raises `ConfigError`."""
    trainer, algorithm = config.trainer, config.trainer.algorithm
    wrong = None
    if algorithm.advantage_estimator != ESTIMATOR:
        wrong = f"trainer.algorithm.advantage_estimator must be {ESTIMATOR}"
    elif config.generator.n_samples_per_prompt != 1:
        wrong = "generator.n_samples_per_prompt must be 1: each row is one answer"
    elif config.generator.step_wise_trajectories:
        wrong = "generator.step_wise_trajectories must be off: it takes one advantage per answer"
    elif algorithm.advantage_batch_normalize or algorithm.use_kl_in_reward:
        wrong = "advantage_batch_normalize and use_kl_in_reward must be off: they change advantages"
    elif trainer.policy_mini_batch_size != trainer.train_batch_size or (
        trainer.update_epochs_per_batch != 1
    ):
        wrong = (
            "policy_mini_batch_size must be train_batch_size and update_epochs_per_batch 1: only "
            "in the first update is the ratio 1, and its gradient that of likelihood"
        )
    if wrong:
        raise ConfigError(f"{wrong}.", where="SkyRL's config")


def check_mode(algorithm: Any, stored: dict[str, Any]) -> None:
    """Refuse tokens without an advantage where SkyRL would move them. Raises `ConfigError`."""
    pairs = zip(stored["advantages"], stored["loss_mask"], strict=True)
    kept = [value != 0 for value, use in pairs if use]
    moves_all = algorithm.use_kl_loss or algorithm.policy_loss_type == "kl_cov"
    if moves_all and any(kept) and not all(kept):
        raise ConfigError(
            "use_kl_loss and the loss kl_cov move tokens outside of the mask in mask mode "
            "`advantage`.",
            where=f"trajectory {stored['trajectory_id']}",
            hint="Set trainer.algorithm.use_kl_loss=false, or use recipe.change(mask_mode='loss').",
        )
