"""Plugs stored answers into verl: an agent loop that replays, an estimator, and policy losses.

verl loads this file in each of its processes by the entry point `verl.plugins`. An answer's
advantages travel as its rewards, one per token, and the estimator `dfgen_stored` takes them as they
are: verl computes no baseline, so groups need not be equal, alive or together. Old log-probs are
the stored ones (`bypass_mode`). Mask modes: both, for the losses in `BOTH_MODES`; the others act on
tokens without an advantage too and take mode `loss` only. Tested with verl 0.9.1, trainer V1.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from typing import Any

from dfgen.errors import ConfigError, InputError
from dfgen.trainers.prompting import check_ids
from dfgen.trainers.rows import AGENT

try:
    import torch
    from verl.experimental.agent_loop.agent_loop import (
        AgentLoopBase,
        AgentLoopMetrics,
        AgentLoopOutput,
        register,
    )
    from verl.trainer.ppo.core_algos import (
        POLICY_LOSS_REGISTRY,
        register_adv_est,
        register_policy_loss,
    )
except ImportError as error:
    # verl logs this at DEBUG only, and goes on without the plugin.
    print(f"dfgen: the plugin for verl is not loaded: {error}", file=sys.stderr)
    raise

BOTH_MODES = ("vanilla", "cispo", "clip_cov", "dppo_kl", "dppo_tv", "gpg", "gspo", "sapo")
MODE_LOSS_ONLY = ("dro", "geo_mean", "kl_cov")
LIKELIHOOD = 1.0
"""Stands for the old log-prob of tokens trained by likelihood; no log-prob is above 0."""

logger = logging.getLogger(__name__)


class StoredAnswer(AgentLoopOutput):  # type: ignore[misc]
    """An answer whose advantages, float[T], verl takes for its token-level rewards."""

    advantages: list[float]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields that verl's trainer reads; `rm_scores` is float32[T]."""
        fields: dict[str, Any] = super().as_dict()
        fields["rm_scores"] = torch.tensor(fields.pop("advantages"), dtype=torch.float32)
        return fields


@register(AGENT)
class ReplayAgentLoop(AgentLoopBase):  # type: ignore[misc]
    """Returns the stored answer of a row (see `write_rows`) in place of a sampled one."""

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        """Return a row's answer.

        verl would only log what is raised here and train on the rest; so an answer that cannot be
        used gets advantages of NaN, at which `dfgen_stored` stops the training.
        """
        stored = kwargs["dfgen"]
        try:
            check_run(self.config, sampling_params, stored)
            check_ids(stored["tokenizer_sha256"], self.tokenizer)
            return await self._replay(stored, list(kwargs["raw_prompt"]))
        except Exception as error:
            logger.error("dfgen: trajectory %s: %s", stored["trajectory_id"], error)
            return _make_answer([0], [0], [0], [float("nan")], [0.0], [])

    async def _replay(self, stored: dict[str, Any], messages: list[Any]) -> AgentLoopOutput:
        # As stored: verl's own reading would resize them once before the processor does.
        pictures = [
            block["image"].convert("RGB")
            for message in messages
            if isinstance(message["content"], list)
            for block in message["content"]
            if block["type"] == "image"
        ]
        # verl has no processor for some models (Llava), and would leave the pictures out.
        self._assert_mm_supported(bool(pictures))
        prompt = await self.ct_build_initial_tokens(messages, images=pictures or None)
        if stored["loss"] == "likelihood":
            old = [LIKELIHOOD] * len(stored["ids"])
        else:
            old = stored["old_logprobs"]
        mask = [int(kept) for kept in stored["loss_mask"]]
        return _make_answer(prompt, stored["ids"], mask, stored["advantages"], old, pictures)


def _make_answer(
    prompt: list[int],
    ids: list[int],
    mask: list[int],
    advantages: list[float],
    old: list[float],
    pictures: list[Any],
) -> StoredAnswer:
    return StoredAnswer(
        prompt_ids=prompt,
        response_ids=ids,
        response_mask=mask,
        response_logprobs=old,
        advantages=advantages,
        multi_modal_data={"images": pictures} if pictures else {},
        # Read by nothing that is used here, but without it verl would grade the answer.
        reward_score=float("nan"),
        num_turns=2,
        metrics=AgentLoopMetrics(),
        # The trainer's metrics cast the steps to int.
        extra_fields={
            **{"turn_scores": [], "tool_rewards": [], "reward_extra_info": {}},
            **{"min_global_steps": 0, "max_global_steps": 0},
        },
    )


def check_run(config: Any, sampling_params: dict[str, Any], stored: dict[str, Any]) -> None:
    """Refuse settings under which verl would train on something else, in silence.

    Raises:
        ConfigError: another estimator, loss, temperature or `rollout.n`, or an answer longer than
            `data.max_response_length`.
    """
    rollout, actor = config.actor_rollout_ref.rollout, config.actor_rollout_ref.actor
    loss, length = actor.policy_loss.loss_mode, len(stored["ids"])
    wrong = None
    if config.algorithm.adv_estimator != "dfgen_stored":
        wrong = "algorithm.adv_estimator must be dfgen_stored: no baseline is to be computed"
    elif not loss.startswith("dfgen_"):
        wrong = f"actor_rollout_ref.actor.policy_loss.loss_mode must be dfgen_{loss}"
    elif rollout.n != 1:
        wrong = f"rollout.n is {rollout.n}, and must be 1: each row is one answer"
    elif sampling_params["temperature"] != stored["temperature"]:
        wrong = (
            f"rollout.temperature is {sampling_params['temperature']}, and the old log-probs are "
            f"those at {stored['temperature']}; set it, or make_examples(temperature=...)"
        )
    elif length > rollout.response_length:
        wrong = f"data.max_response_length is {rollout.response_length}, the answer has {length}"
    if wrong:
        raise ConfigError(f"{wrong}.")


@register_adv_est("dfgen_stored")  # type: ignore[untyped-decorator]
def keep_stored_advantages(
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    config: Any = None,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the rewards as advantages and returns: no baseline, no scaling.

    Args:
        token_level_rewards: float32[B, T], where `StoredAnswer` has put the advantages.
        response_mask: [B, T], of the tokens in the loss.
        config: verl's `algorithm`.

    Raises:
        ConfigError: the rewards or old log-probs would not be those stored.
        InputError: an answer could not be replayed.
    """
    correction = config.get("rollout_correction") or {}
    if config.get("use_kl_in_reward") or not correction.get("bypass_mode"):
        raise ConfigError(
            "dfgen_stored needs algorithm.use_kl_in_reward=False and "
            "algorithm.rollout_correction.bypass_mode=True.",
            hint="Else rewards are no advantages any more, and verl replaces the old log-probs.",
        )
    if not torch.isfinite(token_level_rewards).all():
        raise InputError(
            "an answer could not be replayed.",
            hint="The log above says which and why, in lines that begin with `dfgen:`.",
        )
    advantages = token_level_rewards * response_mask
    return advantages, advantages


def compute_loss(
    objective: Callable[..., Any],
    any_mode: bool,
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    **settings: Any,
) -> Any:
    """Compute one of verl's policy losses, with likelihood where old log-probs are `LIKELIHOOD`.

    There the ratio is taken as 1 whatever the policy has become; its gradient is that of
    -c * log-prob, without a clip. All tensors are [B, T].

    Args:
        objective: verl's function, which gets the `settings`.
        any_mode: whether it leaves tokens alone whose advantage is 0.

    Raises:
        ConfigError: it does not, and there are such tokens in the loss.
    """
    if not any_mode:
        has_none = (advantages == 0) & response_mask.bool()
        if (has_none.any(-1) & (advantages != 0).any(-1)).any():
            raise ConfigError(
                "this policy loss moves tokens outside of the mask in mask mode `advantage`.",
                hint=f"Use recipe.change(mask_mode='loss'), or one of {', '.join(BOTH_MODES)}.",
            )
    old_log_prob = torch.where(old_log_prob > 0.5, log_prob.detach(), old_log_prob)
    return objective(
        old_log_prob=old_log_prob,
        log_prob=log_prob,
        advantages=advantages,
        response_mask=response_mask,
        **settings,
    )


for _name in (*BOTH_MODES, *MODE_LOSS_ONLY):
    if _name in POLICY_LOSS_REGISTRY:
        _loss = functools.partial(compute_loss, POLICY_LOSS_REGISTRY[_name], _name in BOTH_MODES)
        register_policy_loss(f"dfgen_{_name}")(_loss)
