"""Holds the arms that train on a part of the failed answer, and the rivals of dfgen's mask.

Rivals at equal count mark as many tokens of each answer as dfgen's mask does.
"""

import numpy as np

from dfgen.trainers.recipe import RECIPES
from tests.benchmarks.study.arms.arm import Arm, Failed, Floats

DF = RECIPES["df"]


def mark(count: int, places: np.ndarray) -> Floats:
    """Return float32[count], 1 at these places."""
    weights = np.zeros(count, dtype=np.float32)
    weights[places] = 1.0
    return weights


def keep_repair(failed: Failed) -> Floats:
    return failed.diff.repair_mask.astype(np.float32)


def mark_lowest(failed: Failed) -> tuple[Floats, Floats]:
    """Mark the tokens that the policy found least likely."""
    order = np.argsort(failed.logprobs, kind="stable")
    chosen = order[: int(failed.diff.loss_mask.sum())]
    return mark(len(order), chosen), keep_repair(failed)


def mark_random(failed: Failed) -> tuple[Floats, Floats]:
    """Mark tokens drawn at random."""
    order = failed.rng.permutation(len(failed.logprobs))
    chosen = order[: int(failed.diff.loss_mask.sum())]
    return mark(len(order), chosen), keep_repair(failed)


def mark_first_step(failed: Failed) -> tuple[Floats, Floats]:
    """Mark all tokens of the first wrong step."""
    steps = failed.diff.step_ids
    return mark(len(steps), steps == failed.diff.first_error_step), keep_repair(failed)


def mark_suffix(failed: Failed) -> tuple[Floats, Floats]:
    """Mark everything from the first changed token on."""
    changed = np.flatnonzero(failed.diff.loss_mask)
    first = int(changed[0]) if len(changed) else len(failed.logprobs)
    return mark(len(failed.logprobs), np.arange(first, len(failed.logprobs))), keep_repair(failed)


MASKS = (
    Arm("df", "df", DF),
    Arm("df, balanced", "df", DF.change(balance=True)),
    Arm("lowest log-prob", "df", DF, mark_lowest),
    Arm("random tokens", "df", DF, mark_random),
    Arm("first wrong step", "df", DF, mark_first_step),
    Arm("suffix", "df", DF, mark_suffix),
)
