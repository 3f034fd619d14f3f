"""Values the masked runs of wrong answers by the policy's own continuations (`dfgen value`).

V of a prefix is the share of a few continuations at T = 1 that end right. What falls along a masked
run, over V of the question alone, is the weight of its tokens. Runs are looked at from the first
on, and no further than where no continuation is right any more: an answer that is lost has nothing
left to lose, and in a long chain that spares nearly all of the draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import LlavaForConditionalGeneration

from dfgen.diff import PairDiff
from dfgen.tokens import TextTokenizer
from tests.benchmarks.study.sampler import Prompts, continue_completions
from tests.benchmarks.study.tasks import Problem


@dataclass(frozen=True)
class Values:
    """Of one wrong answer.

    Attributes:
        start: V of the question alone.
        drops: of V along each hunk; None for hunks that mark nothing.
    """

    start: float
    drops: list[float | None]


@dataclass
class Valuer:
    """Draws continuations of a round's wrong answers.

    Attributes:
        draws: continuations of each prefix.
        generator: of its own, so that all arms sample the same answers at first.
        tokens: drawn so far.
    """

    model: LlavaForConditionalGeneration
    tokenizer: TextTokenizer
    problems: list[Problem]
    prompts: Prompts
    max_tokens: int
    draws: int
    generator: torch.Generator
    tokens: int = 0

    def value(self, answers: Sequence[tuple[int, PairDiff]]) -> list[Values]:
        """Value answers, each given by its question and its difference to the repair."""
        asked = sorted({problem for problem, _ in answers})
        starts = dict(zip(asked, self.measure([(p, []) for p in asked]), strict=True))
        values = [Values(starts[problem], [None] * len(diff.marked)) for problem, diff in answers]
        left = {number for number, value in enumerate(values) if value.start > 0}
        for hunk in range(max((len(diff.marked) for _, diff in answers), default=0)):
            here = [n for n in sorted(left) if hunk < len(values[n].drops)]
            here = [n for n in here if answers[n][1].marked[hunk]]
            prefixes = []
            for number in here:
                problem, diff = answers[number]
                ids, marked = diff.completion_ids.tolist(), diff.marked[hunk]
                prefixes += [(problem, ids[: min(marked)]), (problem, ids[: max(marked) + 1])]
            measured = self.measure(prefixes)
            for place, number in enumerate(here):
                before, after = measured[2 * place], measured[2 * place + 1]
                # With its last token the answer is over, and it is wrong.
                if len(prefixes[2 * place + 1][1]) == len(answers[number][1].completion_ids):
                    after = 0.0
                values[number].drops[hunk] = before - after
                if after == 0:
                    left.discard(number)
        for value, (_, diff) in zip(values, answers, strict=True):
            for hunk, marked in enumerate(diff.marked):
                if marked and value.drops[hunk] is None:
                    value.drops[hunk] = 0.0
        return values

    def measure(self, prefixes: list[tuple[int, list[int]]]) -> list[float]:
        """Return V of each prefix of an answer to a question."""
        drawn = continue_completions(
            self.model,
            self.prompts,
            prefixes,
            self.draws,
            max_tokens=self.max_tokens,
            generator=self.generator,
        )
        values = []
        for (problem, ids), completions in zip(prefixes, drawn, strict=True):
            self.tokens += sum(len(completion.ids) for completion in completions)
            texts = [
                self.tokenizer.decode([*ids, *c.ids]).removesuffix("<|end|>") for c in completions
            ]
            # Without a continuation the answer was cut off, which is no right answer here.
            right = sum(map(self.problems[problem].is_right, texts))
            values.append(right / max(1, len(texts)))
        return values
