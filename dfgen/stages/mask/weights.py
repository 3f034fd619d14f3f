"""Weighs single tokens by what several repairs, and edits taken back, say about them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dfgen.diff.hunks import RepairerEdit
from dfgen.diff.pair import diff_pair
from dfgen.diff.weights import agreement_weights, counterfactual_weights, value_weights
from dfgen.records import Necessity, Repair, Trajectory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dfgen.config.mask import MaskConfig
    from dfgen.diff.pair import PairDiff
    from dfgen.tokens.tokenizer import TextTokenizer


def read_edits(repair: Repair) -> list[RepairerEdit]:
    """Read the repairer's own edits of a repair, whose reasons belong to the hunks."""
    return [RepairerEdit(**edit) for edit in json.loads(repair.edits or "[]")]


def weigh_tokens(
    diff: PairDiff,
    repair: Repair,
    trajectory: Trajectory,
    tokenizer: TextTokenizer,
    config: MaskConfig,
    repair_logprobs: Sequence[float] | None = None,
) -> NDArray[np.float32] | None:
    """Return float32[T], the soft version of the mask, or None if nothing more is known than it.

    The product of what there is: the weight of consequences (`mask.consequence_weight`), the share
    of accepted candidates that change the token, the necessity of its hunk, and what the policy
    would not have mended by itself (`mask.counterfactual`). Tokens that only another candidate
    changes are not in the mask, and weigh that candidate's share.

    Args:
        diff: of the trajectory and `repair`.
        repair_logprobs: length U, of `diff.repair_ids`, where they are known.
    """
    if repair_logprobs is None or config.counterfactual == "off":
        return _weigh_by_repairs(diff, repair, trajectory, tokenizer, config)
    counterfactual = counterfactual_weights(diff, repair_logprobs)
    if config.counterfactual == "alone":
        return counterfactual
    others = _weigh_by_repairs(diff, repair, trajectory, tokenizer, config)
    if others is None:
        return counterfactual
    return np.where(diff.loss_mask, others * counterfactual, others).astype(np.float32)


def weigh_values(
    diff: PairDiff,
    said: Mapping[str, Any],
    others: NDArray[np.float32] | None,
    config: MaskConfig,
) -> NDArray[np.float32] | None:
    """Return float32[T]: weights with the values of hunks taken in, as `mask.value` says.

    Args:
        diff: of a trajectory and its repair.
        said: of it, `value_start` and `hunk_values`, where they are known.
        others: float32[T], the weights without; None: there are none.
        config: of the mask.
    """
    start = said.get("value_start")
    # Where no continuation of the prompt ended right, there is no success of which to take a share.
    if config.value == "off" or not start or "hunk_values" not in said:
        return others
    drops = [value["value_drop"] for value in said["hunk_values"]]
    weights = value_weights(diff, drops, start)
    if config.value == "alone" or others is None:
        return weights
    return np.where(diff.loss_mask, others * weights, others).astype(np.float32)


def _weigh_by_repairs(
    diff: PairDiff,
    repair: Repair,
    trajectory: Trajectory,
    tokenizer: TextTokenizer,
    config: MaskConfig,
) -> NDArray[np.float32] | None:
    if not repair.alternatives and repair.necessity is None:
        return diff.weights
    weights = np.where(diff.loss_mask, 1.0, 0.0).astype(np.float32)
    if repair.alternatives:
        others = [
            diff_pair(
                trajectory.completion,
                text,
                tokenizer,
                config,
                completion_ids=trajectory.completion_ids,
            )
            for text in repair.alternatives
        ]
        weights = agreement_weights([diff, *others])
    if diff.weights is not None:
        weights = np.where(diff.loss_mask, weights * diff.weights, weights)
    if repair.necessity is not None:
        weights = weights * _weigh_necessity(diff, repair.necessity)
    return weights.astype(np.float32)


def _weigh_necessity(diff: PairDiff, tests: Sequence[Necessity]) -> NDArray[np.float32]:
    """Return float32[T]: the highest weight of the hunks that a token belongs to, else 1."""
    weights = np.ones(len(diff.completion_ids), dtype=np.float32)
    reached = np.zeros(len(diff.completion_ids), dtype=np.bool_)
    for test in tests:
        for token in _find_tokens(diff, test):
            weights[token] = (
                max(float(weights[token]), test.weight) if reached[token] else (test.weight)
            )
            reached[token] = True
    return weights


def _find_tokens(diff: PairDiff, test: Necessity) -> list[int]:
    """Tokens of the mask that overlap a hunk; for an insertion, those that touch its place."""
    offsets = diff.token_bytes
    tokens = np.flatnonzero(diff.loss_mask)
    if test.start < test.end:
        inside = (offsets[tokens] < test.end) & (offsets[tokens + 1] > test.start)
    else:
        inside = (offsets[tokens] <= test.start) & (offsets[tokens + 1] >= test.start)
    return [int(token) for token in tokens[inside]]
