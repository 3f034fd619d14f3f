"""Computes how probable given completions are: each is read once, nothing is generated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from dfgen.engines.transformers.collation import Collator
from dfgen.engines.transformers.loading import LoadedModel
from dfgen.engines.transformers.prompts import PreparedPrompt

_MOST_LOGITS = 1 << 28
"""Logits held at once, a GiB of float32: a vocabulary of 150,000 times 1,800 positions."""
_PIECE = 256
"""Positions that are read at once."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A completion to score.

    Attributes:
        prompt: with its pictures.
        ids: that follow it, at least one.
        temperature: see `ScoreRequest.temperature`.
        contrast: the same prompt with other pictures of the same sizes, or None.
    """

    prompt: PreparedPrompt
    ids: Sequence[int]
    temperature: float | None = None
    contrast: PreparedPrompt | None = None


@dataclass(frozen=True, slots=True)
class Logprobs:
    """What is known of one completion, a value for each id; see `ScoreResult`."""

    raw: list[float]
    tempered: list[float] | None
    contrast_kl: list[float] | None


class Scorer:
    """Scores completions in as few forward passes as the memory for their logits allows.

    The pass for a completion depends on what stands beside it in the same list, not on anything
    before: equal lists give equal floats.
    """

    def __init__(self, loaded: LoadedModel, collator: Collator):
        self._model = loaded.model
        self._collator = collator
        self._vocabulary = loaded.parts.vocabulary

    def score(self, rows: Sequence[Scored]) -> list[Logprobs]:
        """Return the logprobs of each row's completion.

        Natural logs of float32 softmax over the model's raw logits, one per completion id.

        Args:
            rows: all prompts hold pictures, or none does.
        """
        return [logprobs for part in self._split(rows) for logprobs in self._score_part(part)]

    def _split(self, rows: Sequence[Scored]) -> Iterator[list[Scored]]:
        part: list[Scored] = []
        for row in rows:
            width = self._count_kept([*part, row])
            passes = 1 + any(each.contrast is not None for each in (*part, row))
            if part and (len(part) + 1) * width * passes * self._vocabulary > _MOST_LOGITS:
                yield part
                part = []
            part.append(row)
        if part:
            yield part

    def _count_kept(self, rows: Sequence[Scored]) -> int:
        """Positions at the end of a batch whose logits are computed."""
        width = max(row.prompt.length + len(row.ids) for row in rows)
        if not self._collator.cuts_logits:
            return width
        return width - min(row.prompt.length for row in rows) + 1

    def _score_part(self, rows: Sequence[Scored]) -> Iterator[Logprobs]:
        with torch.inference_mode():
            own = self._compute_logits(rows)
            asked = [row for row in rows if row.contrast is not None]
            other = iter(self._compute_logits([_exchange(row) for row in asked]) if asked else ())
            for row, logits in zip(rows, own, strict=True):
                yield _read_logits(row, logits, None if row.contrast is None else next(other))

    def _compute_logits(self, rows: Sequence[Scored]) -> list[torch.Tensor]:
        """Logits of each completion, [ids, vocabulary]."""
        inputs = self._collator.join_completions(
            [row.prompt for row in rows], [row.ids for row in rows]
        )
        kept = self._count_kept(rows)
        options = {"logits_to_keep": kept} if self._collator.cuts_logits else {}
        logits = self._model(**inputs, **options, use_cache=False).logits
        first = inputs["input_ids"].shape[1] - kept
        found = []
        for index, row in enumerate(rows):
            # The logits at a position are those of the token after it.
            start = row.prompt.length - 1 - first
            found.append(logits[index, start : start + len(row.ids)])
        return found


def _exchange(row: Scored) -> Scored:
    assert row.contrast is not None
    return Scored(row.contrast, row.ids)


def _read_logits(row: Scored, logits: torch.Tensor, other: torch.Tensor | None) -> Logprobs:
    raw, tempered, contrast_kl = list[float](), list[float](), list[float]()
    # In pieces: what is computed on the way to a number is as large as the logits themselves.
    for start in range(0, len(row.ids), _PIECE):
        piece = logits[start : start + _PIECE].float()
        ids = torch.tensor(row.ids[start : start + _PIECE], device=piece.device)[:, None]
        raw += _take(piece, ids)
        if row.temperature is not None:
            tempered += _take(piece / row.temperature, ids)
        if other is not None:
            contrast_kl += _diverge(piece, other[start : start + _PIECE].float())
    return Logprobs(
        raw,
        None if row.temperature is None else tempered,
        None if other is None else contrast_kl,
    )


def _take(logits: torch.Tensor, ids: torch.Tensor) -> list[float]:
    """Logprobs of these ids, [rows, 1]."""
    return (logits.gather(1, ids)[:, 0] - torch.logsumexp(logits, dim=-1)).tolist()


def _diverge(logits: torch.Tensor, other: torch.Tensor) -> list[float]:
    """KL divergence of each distribution to the other one, in nats."""
    mine, theirs = logits.log_softmax(-1), other.log_softmax(-1)
    each = torch.nn.functional.kl_div(theirs, mine, log_target=True, reduction="none")
    # Rounding may leave a hair below 0 where both are the same.
    return each.sum(-1).clamp(min=0).tolist()
