"""Computes log-probs of given answers under a model, with a gradient where one is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration

from tests.benchmarks.study.sampler import Prompts, embed_prompts


@dataclass
class Row:
    """An answer or a repair to train on.

    Attributes:
        problem: index of its prompt.
        ids: T token ids.
        factors: float32[T], advantage or factor of each token, masks multiplied in.
        old: float32[T], log-probs under the policy that sampled it; None for a repair.
        loss: `ratio` or `likelihood`.
    """

    problem: int
    ids: list[int]
    factors: Tensor
    old: Tensor | None
    loss: str


def score_rows(
    model: LlavaForConditionalGeneration, prompts: Prompts, rows: list[Row]
) -> Iterator[tuple[list[Row], Tensor]]:
    """Yield rows whose prompts have one length, with log-probs float32[N, T].

    Answers are embedded as tokens, whatever they are: an image placeholder that was sampled at
    T = 1 is a token like any other and takes no picture.
    """
    for length in sorted({len(prompts.ids[row.problem]) for row in rows}):
        part = [row for row in rows if len(prompts.ids[row.problem]) == length]
        yield part, score_part(model, prompts, part)


def score_part(model: LlavaForConditionalGeneration, prompts: Prompts, rows: list[Row]) -> Tensor:
    """Score rows whose prompts have one length. Each picture is looked at once.

    Returns:
        float32[N, T] for the longest answer; what stands behind the end of a row means nothing.
    """
    problems = sorted({row.problem for row in rows})
    place = {problem: index for index, problem in enumerate(problems)}
    ids = torch.tensor([prompts.ids[problem] for problem in problems])
    embedded = embed_prompts(model, ids, prompts.pixel_values[problems])
    embedded = embedded[[place[row.problem] for row in rows]]
    longest = max(len(row.ids) for row in rows)
    answers = torch.zeros((len(rows), longest), dtype=torch.int64)
    for index, row in enumerate(rows):
        answers[index, : len(row.ids)] = torch.tensor(row.ids)
    text = model.model.language_model
    # Padding on the right needs no attention mask: no real token sees it. The last token of an
    # answer is predicted and never read.
    joined = torch.cat([embedded, text.embed_tokens(answers[:, :-1])], 1)
    hidden = text(inputs_embeds=joined, use_cache=False).last_hidden_state
    logits = model.lm_head(hidden[:, ids.shape[1] - 1 :])
    return torch.log_softmax(logits, -1).gather(-1, answers[..., None])[..., 0]
