"""Draws the tokens of a batch with one stream of random numbers for each row.

`model.generate` draws a whole batch from one global generator, so what a row gets depends on who
sits beside it. Here a logits processor draws instead and leaves `generate` (greedy) no choice but
the token drawn; `generate` keeps doing what differs between architectures: caches, positions,
pictures, the end of sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import (
    LogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from dfgen.engines.base import Decoding

Warper = Any


class SeededSampler(LogitsProcessor):  # type: ignore[misc]  # transformers is not typed
    """Draws each row's next token with that row's own generator, and records it.

    Drawing is the Gumbel-max trick in its exponential form: with E_v independent Exp(1), the
    argmax of p_v / E_v is distributed as p. Noise covers the whole vocabulary at every step
    whatever top_k and top_p leave of it, so a row's noise depends on its seed and the step alone.

    A generator on a CPU uses the low 32 bits of its seed, one on a GPU all of it; the two draw
    different noise from the same seed.

    Args:
        decodings: one per row.
        seeds: one per row, 0 <= seed < 2**63.
    """

    def __init__(self, decodings: Sequence[Decoding], seeds: Sequence[int], device: torch.device):
        self._generators = [
            None if decoding.temperature == 0 else torch.Generator(device).manual_seed(seed)
            for decoding, seed in zip(decodings, seeds, strict=True)
        ]
        self._groups = _group_rows(decodings, device)
        self._chosen: list[torch.Tensor] = []
        self._logprobs: list[torch.Tensor] = []

    @property
    def steps(self) -> int:
        """Tokens drawn so far, per row."""
        return len(self._chosen)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Draw one token per row.

        Args:
            scores: raw logits, float, [rows, vocabulary].

        Returns:
            Scores of the same shape that are 0 for the token drawn and -inf elsewhere.
        """
        logits = scores.float()
        chosen = logits.argmax(dim=-1)
        noise = self._draw_noise(logits)
        for rows, warpers in self._groups:
            warped = logits[rows]
            for warp in warpers:
                warped = warp(input_ids, warped)
            chosen[rows] = (warped.softmax(dim=-1) / noise[rows]).argmax(dim=-1)
        self._chosen.append(chosen)
        self._logprobs.append(
            logits.gather(1, chosen[:, None])[:, 0] - torch.logsumexp(logits, dim=-1)
        )
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen[:, None], 0.0)

    def read_tail(self, row: int, length: int) -> list[int]:
        """Return the last `length` ids drawn for a row."""
        return [int(step[row]) for step in self._chosen[-length:]]

    def collect(self) -> tuple[list[list[int]], list[list[float]]]:
        """Return what was drawn: ids and logprobs, each [rows][steps].

        Logprobs are natural logs under the model itself: float32 log-softmax of the raw logits.
        Rows that ended before the others hold meaningless entries after their end.
        """
        ids = torch.stack(self._chosen, dim=1).tolist()
        return ids, torch.stack(self._logprobs, dim=1).tolist()

    def _draw_noise(self, logits: torch.Tensor) -> torch.Tensor:
        """Return this step's Exp(1) noise, [rows, vocabulary].

        Made of float64 uniforms: a float32 uniform is 0 once in 2**24 draws, and over a vocabulary
        of 150,000 that would hand one step in a hundred to a token of no probability. For the same
        reason not `Tensor.exponential_`, whose CPU path has 31 random bits.
        """
        dtype = torch.float32 if logits.device.type == "mps" else torch.float64
        noise = torch.zeros(logits.shape, dtype=dtype, device=logits.device)
        for row, generator in zip(noise, self._generators, strict=True):
            if generator is not None:
                torch.rand(row.shape, generator=generator, out=row)
        return noise.neg_().log1p_().neg_().clamp_(min=torch.finfo(dtype).eps / 4)


def _group_rows(
    decodings: Sequence[Decoding], device: torch.device
) -> list[tuple[torch.Tensor, list[Warper]]]:
    """Put rows that share temperature, top_k and top_p together; greedy rows are left out."""
    groups: dict[tuple[float, int, float], list[int]] = {}
    for row, decoding in enumerate(decodings):
        if decoding.temperature > 0:
            key = (decoding.temperature, decoding.top_k, decoding.top_p)
            groups.setdefault(key, []).append(row)
    return [(torch.tensor(rows, device=device), list_warpers(*key)) for key, rows in groups.items()]


def list_warpers(temperature: float, top_k: int, top_p: float) -> list[Warper]:
    """Return transformers' own warpers in the order that it (and vLLM) applies them."""
    warpers: list[Warper] = []
    if temperature != 1.0:
        warpers.append(TemperatureLogitsWarper(float(temperature)))
    if top_k > 0:
        warpers.append(TopKLogitsWarper(top_k))
    if top_p < 1.0:
        warpers.append(TopPLogitsWarper(top_p))
    return warpers
