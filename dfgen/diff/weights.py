"""Weighs masked tokens between 0 and 1 instead of marking them or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dfgen.diff.hunks import Hunk


class MaskedCompletion(Protocol):
    """What agreement needs of a difference; `PairDiff` has it."""

    @property
    def completion_ids(self) -> NDArray[np.int32]:
        """int32[T]."""

    @property
    def loss_mask(self) -> NDArray[np.bool_]:
        """bool[T]."""


def agreement_weights(diffs: Sequence[MaskedCompletion]) -> NDArray[np.float32]:
    """Return float32[T]: the share of several repairs of one completion that mark each token.

    Args:
        diffs: one per accepted repair, all of the same `completion_ids`.

    Raises:
        ValueError: no diffs, or diffs of different completions.
    """
    if not diffs:
        raise ValueError("agreement needs at least one repair")
    first = diffs[0].completion_ids
    if any(not np.array_equal(diff.completion_ids, first) for diff in diffs[1:]):
        raise ValueError("agreement needs repairs of one and the same completion")
    masks = np.stack([diff.loss_mask for diff in diffs]).astype(np.float32)
    share: NDArray[np.float32] = masks.mean(axis=0)
    return share


def decay_consequences(
    loss_mask: NDArray[np.bool_], marked: Sequence[tuple[Hunk, Sequence[int]]], weight: float
) -> NDArray[np.float32]:
    """Return float32[T]: 1 for tokens a root marks, `weight` for those only consequences mark.

    Args:
        loss_mask: bool[T].
        marked: each hunk of the mask with the tokens it marks, anchors included.
        weight: of a consequence, in [0, 1].
    """
    weights = np.zeros(len(loss_mask), dtype=np.float32)
    for hunk, tokens in marked:
        value = weight if hunk.role == "consequence" else 1.0
        for token in tokens:
            weights[token] = max(weights[token], value)
    return weights * loss_mask
