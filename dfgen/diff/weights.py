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


class MarkedCompletion(Protocol):
    """What value weights need of a difference; `PairDiff` has it."""

    @property
    def loss_mask(self) -> NDArray[np.bool_]:
        """bool[T]."""

    @property
    def marked(self) -> Sequence[Sequence[int]]:
        """For each hunk the tokens it marks."""


def value_weights(
    diff: MarkedCompletion, drops: Sequence[float | None], start: float
) -> NDArray[np.float32]:
    """Return float32[T]: the share of the policy's success that was lost at each token's hunk.

    What several hunks mark weighs as the heaviest; a hunk at which the success rose weighs 0.

    Args:
        diff: of a completion and its repair.
        drops: of V along each hunk; None for hunks that mark nothing.
        start: V(0) > 0, of which the drops of a whole answer are parts.

    Raises:
        ValueError: not a drop for each hunk, or nothing to take a share of.
    """
    if len(drops) != len(diff.marked):
        raise ValueError(f"{len(drops)} drops for {len(diff.marked)} hunks")
    if start <= 0:
        raise ValueError("without any success at the start there is no share of it")
    weights = np.zeros(len(diff.loss_mask), dtype=np.float32)
    for drop, tokens in zip(drops, diff.marked, strict=True):
        for token in tokens:
            share = min(max((drop or 0.0) / start, 0.0), 1.0)
            weights[token] = max(float(weights[token]), share)
    return weights


class RepairedCompletion(Protocol):
    """What counterfactual weights need of a difference; `PairDiff` has it."""

    @property
    def loss_mask(self) -> NDArray[np.bool_]:
        """bool[T]."""

    @property
    def repair_mask(self) -> NDArray[np.bool_]:
        """bool[U]."""

    @property
    def hunks(self) -> Sequence[Hunk]:
        """Every edit."""

    @property
    def marked(self) -> Sequence[Sequence[int]]:
        """For each hunk the tokens it marks."""


def counterfactual_weights(
    diff: RepairedCompletion, repair_logprobs: Sequence[float]
) -> NDArray[np.float32]:
    """Return float32[T]: how much there is to learn at each marked token, 0 at all others.

    Where the policy, having read the repaired text so far, gives the new token a high probability
    p, it would have mended this place by itself: a consequence, weight 1 - p near 0. Where p is
    low, it has something to learn: a root, weight near 1.

    New tokens are carried over to the wrong side hunk by hunk. Of n marked and m new tokens, marked
    token k weighs as much as the heaviest of the new ones that share its stretch of the hunk, k m/n
    to (k + 1) m/n: for n = m its counterpart. Where nothing is new (a deletion) the token that
    comes next in the repair stands in: had the policy gone on with it by itself? Where the repair
    ends there, nobody was asked, and the weight is 1. Anchors of an insertion weigh as the heaviest
    new token. What several hunks mark weighs as the heaviest.

    Args:
        diff: of a completion and its repair.
        repair_logprobs: length U, natural logs of the probabilities of `repair_ids`, each given the
            prompt and the ids before it, under the policy that drew the completion.

    Raises:
        ValueError: not a value for each token of the repair.
    """
    if len(repair_logprobs) != len(diff.repair_mask):
        raise ValueError(f"{len(repair_logprobs)} logprobs for {len(diff.repair_mask)} tokens")
    surprise = np.clip(-np.expm1(np.asarray(repair_logprobs, dtype=np.float64)), 0.0, 1.0)
    weights = np.zeros(len(diff.loss_mask), dtype=np.float32)
    for hunk, tokens in zip(diff.hunks, diff.marked, strict=True):
        new = [surprise[t] for t in range(*hunk.right_tokens) if diff.repair_mask[t]]
        if not new:
            new = surprise[hunk.right_tokens.start :][:1].tolist() or [1.0]
        if hunk.wrong_bytes.start == hunk.wrong_bytes.end:
            new = [max(new)]
        n, m = len(tokens), len(new)
        for k, token in enumerate(tokens):
            heaviest = max(new[k * m // n : -((k + 1) * -m // n)])
            weights[token] = max(float(weights[token]), heaviest)
    return weights
