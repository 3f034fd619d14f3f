"""Computes masked losses in plain torch: what an adapter's trainer must agree with.

Shapes everywhere: `logps`, `old_logps`, `advantages` float[B, T], `mask` bool[B, T]: the tokens
that the loss may see (`Example.loss_mask`, padding False). Both mask modes go through the same
functions: in mode `advantage` the mask is the whole answer and advantages are 0 outside of the
difference mask, in mode `loss` the mask is the difference mask. They differ in the divisor, which
is therefore given: `Example.divisor` of each row, or of the batch. An `old_logps` of None is the
policy as it is now.

No gradient flows to a token outside of the mask, nor, but for GSPO, to one whose advantage is 0.
GSPO's ratio is one of the whole sequence, so that every token in its mask gets a gradient; it takes
no advantages that differ within a row.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dfgen.errors import ConfigError


def compute_grpo(
    logps: Tensor,
    old_logps: Tensor | None,
    advantages: Tensor,
    mask: Tensor,
    divisors: Tensor,
    low: float = 0.2,
    high: float = 0.2,
) -> Tensor:
    """Compute GRPO: mean over rows of sum over tokens of -min(rA, clip(r, 1-low, 1+high)A) / d_i.

    Args:
        logps: of the policy.
        old_logps: of the policy that sampled.
        advantages: per token.
        mask: what the loss may see.
        divisors: float[B]: d_i, tokens of each row that count.
        low: clip below.
        high: clip above.

    Source: arXiv 2402.03300, equation 3; clip of PPO (arXiv 1707.06347). TRL `loss_type="grpo"`.
    """
    return _average_rows(
        _clip(_ratio(logps, old_logps, mask), advantages, low, high), mask, divisors
    )


def compute_dapo(
    logps: Tensor,
    old_logps: Tensor | None,
    advantages: Tensor,
    mask: Tensor,
    divisor: float,
    low: float = 0.2,
    high: float = 0.2,
) -> Tensor:
    """Compute DAPO: GRPO's clipped terms, all tokens of the whole batch over one divisor.

    The divisor is the number of tokens that count in all rows of an optimiser step, over all
    devices and accumulated batches; `high` is above `low` in the paper (0.28).

    Source: arXiv 2503.14476, equation 8. TRL `loss_type="dapo"`, verl `token-mean`.
    """
    return _average_tokens(
        _clip(_ratio(logps, old_logps, mask), advantages, low, high), mask, divisor
    )


def compute_bnpo(
    logps: Tensor,
    old_logps: Tensor | None,
    advantages: Tensor,
    mask: Tensor,
    divisor: float,
    low: float = 0.2,
    high: float = 0.2,
) -> Tensor:
    """Compute BNPO: as DAPO, the divisor being the tokens that count in this device's batch alone.

    Source: TRL `loss_type="bnpo"`, called so after arXiv 2506.02864.
    """
    return compute_dapo(logps, old_logps, advantages, mask, divisor, low, high)


def compute_dr_grpo(
    logps: Tensor,
    old_logps: Tensor | None,
    advantages: Tensor,
    mask: Tensor,
    divisor: float,
    low: float = 0.2,
    high: float = 0.2,
) -> Tensor:
    """Compute Dr. GRPO: as DAPO, the divisor being a constant, rows times the longest completion.

    Both mask modes are the same here, since the divisor counts no token.

    Source: arXiv 2503.20783, section 3. TRL `loss_type="dr_grpo"`.
    """
    return compute_dapo(logps, old_logps, advantages, mask, divisor, low, high)


def compute_sapo(
    logps: Tensor,
    old_logps: Tensor | None,
    advantages: Tensor,
    mask: Tensor,
    divisors: Tensor,
    positive: float = 1.0,
    negative: float = 1.05,
) -> Tensor:
    """Compute SAPO: a soft gate 4/t sigmoid(t(r - 1)) in place of the clip; rows as in GRPO.

    Args:
        logps: of the policy.
        old_logps: of the policy that sampled.
        advantages: per token.
        mask: what the loss may see.
        divisors: float[B], as in GRPO.
        positive: t where the advantage is above 0.
        negative: t elsewhere.

    Source: arXiv 2511.20347, equation 5. TRL `loss_type="sapo"`.
    """
    sharp = torch.where(advantages > 0, positive, negative)
    gate = torch.sigmoid(sharp * (_ratio(logps, old_logps, mask) - 1)) * 4 / sharp
    return _average_rows(-gate * advantages, mask, divisors)


def compute_cispo(
    logps: Tensor,
    old_logps: Tensor | None,
    advantages: Tensor,
    mask: Tensor,
    divisor: float,
    high: float = 5.0,
) -> Tensor:
    """Compute CISPO: -stop_gradient(min(r, high)) A log p, all tokens over one divisor.

    Source: arXiv 2506.13585, equation 4. TRL `loss_type="cispo"`, where `epsilon_high` is the bound
    itself.
    """
    weights = _ratio(logps, old_logps, mask).clamp(max=high).detach()
    return _average_tokens(-weights * advantages * logps, mask, divisor)


def compute_gspo(
    logps: Tensor,
    old_logps: Tensor | None,
    advantages: Tensor,
    mask: Tensor,
    divisors: Tensor,
    low: float = 3e-4,
    high: float = 4e-4,
) -> Tensor:
    """Compute GSPO: one ratio per row, s = exp(mean over the mask of log r), clipped; rows as GRPO.

    Raises:
        ConfigError: advantages differ within the mask of a row. A ratio of the whole sequence
            carries gradient to every token, also where the advantage is 0.

    Source: arXiv 2507.18071, equations 5 and 7. TRL `importance_sampling_level="sequence"`.
    """
    check_one_advantage(advantages, mask)
    ratio = torch.exp(_mean_log_ratio(logps, old_logps, mask)).unsqueeze(-1)
    return _average_rows(_clip(ratio, advantages, low, high), mask, divisors)


def compute_gspo_token(
    logps: Tensor,
    old_logps: Tensor | None,
    advantages: Tensor,
    mask: Tensor,
    divisors: Tensor,
    low: float = 3e-4,
    high: float = 4e-4,
) -> Tensor:
    """Compute GSPO-token: the row's ratio as a value, the gradient of each token its own.

    s_t = stop_gradient(s) p_t / stop_gradient(p_t), so that advantages may differ by token.

    Source: arXiv 2507.18071, equations 13 and 14. verl's `gspo`, ms-swift's `sequence_token`.
    """
    value = _mean_log_ratio(logps, old_logps, mask).detach().unsqueeze(-1)
    ratio = torch.exp(value + torch.where(mask, logps - logps.detach(), 0.0))
    return _average_rows(_clip(ratio, advantages, low, high), mask, divisors)


def compute_likelihood(logps: Tensor, factors: Tensor, mask: Tensor, divisor: float) -> Tensor:
    """Compute -sum of factor times log p over the mask, over one divisor: no ratio and no clip.

    It is what a repair's tokens get by default. The divisor is the batch's sampled tokens, which
    repairs do not add to: their size is already in the factor.

    Args:
        logps: of the policy.
        factors: float[B, T]: `Example.advantages` of likelihood examples.
        mask: what the loss may see.
        divisor: tokens of the batch that count.

    Source: the weighted log-likelihood of REINFORCE (Williams 1992) with the factor as reward.
    """
    return _average_tokens(-factors * logps, mask, divisor)


def check_one_advantage(advantages: Tensor, mask: Tensor) -> None:
    """Refuse advantages that differ within the mask of a row. Raises `ConfigError`."""
    most = torch.where(mask, advantages, -torch.inf).amax(-1)
    least = torch.where(mask, advantages, torch.inf).amin(-1)
    if bool((most > least).any()):
        raise ConfigError(
            "a ratio of the whole sequence takes one advantage per row; tokens with an advantage "
            "of 0 would be trained as well.",
            hint='Use mask_mode="loss", or a ratio per token (GSPO-token where there is one).',
        )


def _ratio(logps: Tensor, old_logps: Tensor | None, mask: Tensor) -> Tensor:
    """float[B, T]: p / p_old, 1 outside of the mask, where log-probs may be anything."""
    return torch.exp(_log_ratio(logps, old_logps, mask))


def _log_ratio(logps: Tensor, old_logps: Tensor | None, mask: Tensor) -> Tensor:
    old = logps.detach() if old_logps is None else old_logps
    # First, not last: a gradient through exp(NaN) is NaN even where the result is thrown away.
    return torch.where(mask, logps, 0.0) - torch.where(mask, old, 0.0)


def _mean_log_ratio(logps: Tensor, old_logps: Tensor | None, mask: Tensor) -> Tensor:
    """float[B]."""
    return _log_ratio(logps, old_logps, mask).sum(-1) / mask.sum(-1).clamp(min=1)


def _clip(ratio: Tensor, advantages: Tensor, low: float, high: float) -> Tensor:
    """float[B, T]: PPO's pessimistic bound, as a loss."""
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages)


def _average_rows(terms: Tensor, mask: Tensor, divisors: Tensor) -> Tensor:
    return (torch.where(mask, terms, 0.0).sum(-1) / divisors.clamp(min=1)).mean()


def _average_tokens(terms: Tensor, mask: Tensor, divisor: float) -> Tensor:
    return torch.where(mask, terms, 0.0).sum() / max(divisor, 1)


BY_ROW: dict[str, Callable[..., Tensor]] = {
    "grpo": compute_grpo,
    "sapo": compute_sapo,
    "gspo": compute_gspo,
    "gspo_token": compute_gspo_token,
}
"""Losses that divide each row by a number of its own and average rows."""

BY_TOKEN: dict[str, Callable[..., Tensor]] = {
    "dapo": compute_dapo,
    "bnpo": compute_bnpo,
    "dr_grpo": compute_dr_grpo,
    "cispo": compute_cispo,
}
"""Losses that divide the sum over all tokens by one number."""
