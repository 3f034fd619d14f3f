"""Computes the loss of a step with dfgen's reference losses, whatever the arm."""

from __future__ import annotations

import torch
from torch import Tensor

from dfgen.trainers.reference import compute_dapo, compute_likelihood
from tests.benchmarks.study.scoring import Row


def compute_loss(rows: list[Row], scores: Tensor, *, divisor: int, clip: float) -> Tensor:
    """Return the scalar loss of rows with log-probs float32[N, T], padded on the right.

    `ratio`: clipped as in PPO, token by token; `likelihood`: -factor * log p. Both are summed over
    tokens and divided by the same number, the sampled tokens of the step's questions.
    """
    factors, old = torch.zeros_like(scores), torch.zeros_like(scores)
    mask = torch.zeros(scores.shape, dtype=torch.bool)
    for index, row in enumerate(rows):
        count = len(row.ids)
        factors[index, :count] = row.factors
        old[index, :count] = scores[index, :count].detach() if row.old is None else row.old
        mask[index, :count] = True
    by_ratio = torch.tensor([row.loss == "ratio" for row in rows])
    likely = ~by_ratio
    return compute_dapo(
        scores[by_ratio], old[by_ratio], factors[by_ratio], mask[by_ratio], divisor, clip, clip
    ) + compute_likelihood(scores[likely], factors[likely], mask[likely], divisor)
