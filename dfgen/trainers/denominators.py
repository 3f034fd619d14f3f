"""Explains what a trainer divides its loss by, for each kind of loss and mask mode.

Three masked tokens of a 900-token answer weigh 300 times as much in one mode as in the other. Which
learning rate is right depends on it, and no trainer says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from dfgen.errors import ConfigError, guess_name
from dfgen.trainers.recipe import MaskMode


@dataclass(frozen=True, slots=True)
class Divisor:
    """What one kind of loss divides by.

    Attributes:
        counts: what the divisor counts, in words; `{kept}` is replaced by which tokens.
        by_row: every answer has a divisor of its own.
        counts_tokens: the divisor changes with the mask mode.
        sequence: the ratio is one of the whole answer.
    """

    counts: str
    by_row: bool = False
    counts_tokens: bool = True
    sequence: bool = False


_ROW = "each answer by its own {kept}, then the mean over answers"
_STEP = "the whole step by its {kept}, over all devices and accumulated batches"

LOSSES: dict[str, Divisor] = {
    "grpo": Divisor(_ROW, by_row=True),
    "sapo": Divisor(_ROW, by_row=True),
    "gspo": Divisor(_ROW, by_row=True, sequence=True),
    "gspo_token": Divisor(_ROW, by_row=True),
    "dapo": Divisor(_STEP),
    "cispo": Divisor(_STEP),
    "vespo": Divisor(_STEP),
    "bnpo": Divisor("each device's batch by its {kept}"),
    "dr_grpo": Divisor(
        "each batch by a constant, its rows times the longest completion", counts_tokens=False
    ),
    "luspo": Divisor(
        "nothing but the number of answers: tokens are added up",
        by_row=True,
        counts_tokens=False,
        sequence=True,
    ),
}
"""Kinds of loss by TRL's names; `gspo` is its `importance_sampling_level="sequence"`."""


def find_divisor(loss: str) -> Divisor:
    """Find what a kind of loss divides by. Raises `ConfigError`."""
    if loss not in LOSSES:
        close = guess_name(loss, LOSSES)
        raise ConfigError(
            f"nothing is known of a loss {loss!r}; known are {', '.join(LOSSES)}.",
            hint=f"Did you mean {close!r}?" if close else None,
        )
    return LOSSES[loss]


def explain_divisor(loss: str, mask_mode: MaskMode) -> str:
    """Explain in words what a loss divides by and what that means for sparse masks.

    Args:
        loss: a name of `LOSSES`.
        mask_mode: as in the recipe.

    Raises:
        ConfigError: no such loss, or one whose ratio this mask mode does not go with.
    """
    check_mask_mode(loss, mask_mode)
    divisor = find_divisor(loss)
    kept = "tokens in the mask" if mask_mode == "loss" else "sampled tokens, masked or not"
    said = f"{loss}, mask mode {mask_mode}: it divides {divisor.counts.format(kept=kept)}."
    if not divisor.counts_tokens:
        return f"{said} Both mask modes give the same gradient."
    if mask_mode == "advantage":
        said += " A masked answer pulls as little as its mask is sparse."
    elif divisor.by_row:
        said += " The few tokens of a sparse mask weigh together as much as a whole right answer."
    else:
        said += " The sparser the masks, the larger the gradient of every token."
    return f"{said} A learning rate that was tuned for one mask mode does not carry over."


def check_mask_mode(loss: str, mask_mode: MaskMode, *, token_ratio: bool = False) -> None:
    """Refuse mask mode `advantage` where the ratio is one of the whole answer.

    Its gradient reaches every token, also those whose advantage is 0.

    Args:
        loss: a name of `LOSSES`.
        mask_mode: as in the recipe.
        token_ratio: the trainer was told to take a ratio per token instead (GSPO-token).

    Raises:
        ConfigError: no such loss, or it is so.
    """
    if find_divisor(loss).sequence and mask_mode == "advantage" and not token_ratio:
        raise ConfigError(
            f"{loss} has one ratio for the whole answer, so that tokens outside of the mask would "
            'be trained; mask_mode="advantage" cannot hold them back.',
            hint='Recipe(...).change(mask_mode="loss"), or a ratio per token.',
        )
