"""Computes how probable given completions are: each is read once, nothing is generated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from dfgen.engines.transformers.collation import Collator
from dfgen.engines.transformers.loading import LoadedModel
from dfgen.engines.transformers.prompts import PreparedPrompt

_MOST_LOGITS = 1 << 28
"""Logits held at once, a GiB of float32: a vocabulary of 150,000 times 1,800 positions."""

Scored = tuple[PreparedPrompt, Sequence[int]]


class Scorer:
    """Scores completions in as few forward passes as the memory for their logits allows.

    The pass for a completion depends on what stands beside it in the same list, not on anything
    before: equal lists give equal floats.
    """

    def __init__(self, loaded: LoadedModel, collator: Collator):
        self._model = loaded.model
        self._collator = collator
        self._vocabulary = loaded.parts.vocabulary

    def score(self, rows: Sequence[Scored]) -> list[list[float]]:
        """Return the logprobs of each row's completion.

        Natural logs of float32 softmax over the model's raw logits, one per completion id.

        Args:
            rows: prompts with the ids, at least one, that follow them. All prompts hold pictures,
                or none does.
        """
        return [logprobs for part in self._split(rows) for logprobs in self._score_part(part)]

    def _split(self, rows: Sequence[Scored]) -> Iterator[list[Scored]]:
        part: list[Scored] = []
        for row in rows:
            logits = (len(part) + 1) * self._count_kept([*part, row]) * self._vocabulary
            if part and logits > _MOST_LOGITS:
                yield part
                part = []
            part.append(row)
        if part:
            yield part

    def _count_kept(self, rows: Sequence[Scored]) -> int:
        """Positions at the end of a batch whose logits are computed."""
        width = max(prompt.length + len(ids) for prompt, ids in rows)
        if not self._collator.cuts_logits:
            return width
        return width - min(prompt.length for prompt, _ in rows) + 1

    def _score_part(self, rows: Sequence[Scored]) -> Iterator[list[float]]:
        prompts, completions = zip(*rows, strict=True)
        inputs = self._collator.join_completions(prompts, completions)
        kept = self._count_kept(rows)
        options = {"logits_to_keep": kept} if self._collator.cuts_logits else {}
        with torch.inference_mode():
            logits = self._model(**inputs, **options, use_cache=False).logits
            first = inputs["input_ids"].shape[1] - kept
            for index, (prompt, ids) in enumerate(rows):
                # The logits at a position are those of the token after it.
                start = prompt.length - 1 - first
                own = logits[index, start : start + len(ids)].float()
                chosen = own.gather(1, torch.tensor(ids, device=own.device)[:, None])[:, 0]
                yield (chosen - torch.logsumexp(own, dim=-1)).tolist()
