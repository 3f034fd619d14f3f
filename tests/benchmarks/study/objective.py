"""Computes the loss of a step: a clipped ratio or plain likelihood, summed and divided once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Piece:
    """One row: log-probs float32[T] with a gradient, factors, old log-probs or None, loss."""

    logprobs: Tensor
    factors: Tensor
    old: Tensor | None
    loss: str


def compute_loss(pieces: list[Piece], *, divisor: int, clip: float) -> Tensor:
    """Return the scalar loss.

    `ratio`: -min(r A, clip(r) A) per token (PPO, arXiv 1707.06347); a row without old log-probs
    has ratio 1, its gradient that of likelihood weighted by A. `likelihood`: -c log p.
    """
    total = torch.zeros(())
    for piece in pieces:
        if piece.loss == "likelihood":
            total = total - (piece.factors * piece.logprobs).sum()
            continue
        old = piece.logprobs.detach() if piece.old is None else piece.old
        ratio = torch.exp(piece.logprobs - old)
        clipped = ratio.clamp(1 - clip, 1 + clip)
        total = total - torch.minimum(ratio * piece.factors, clipped * piece.factors).sum()
    return total / divisor
