"""Leaves out rows without a gradient, keeps the tokens that they count, and chooses a divisor."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from dfgen.trainers.example import Example


class Carried(NamedTuple):
    """An example with a gradient, and what it counts in a batch.

    Attributes:
        example: as it is.
        divisor: its tokens and those of answers that it stands for.
        answers: sampled answers that it stands for, itself among them.
    """

    example: Example
    divisor: int
    answers: int


def carry_divisors(group: list[Example]) -> list[Carried]:
    """Give the examples of a group that have a gradient divisors that count the others too.

    The divisor of a batch is the tokens that were sampled for it. Where all answers are wrong, only
    repairs have a gradient, and their own divisors are 0: without this a batch of them would be
    divided by nothing. The row after an answer that is left out, in most cases its repair, takes
    over its divisor; the last row those of the rest. A group without any gradient is left out.

    Args:
        group: of `Examples.iter_groups`, made with `keep_zero=True`.
    """
    kept: list[Carried] = []
    tokens = answers = 0
    for example in group:
        tokens += example.divisor
        answers += example.divisor > 0
        if example.advantages.any():
            kept.append(Carried(example, tokens, answers))
            tokens = answers = 0
    if kept:
        last = kept[-1]
        kept[-1] = Carried(last.example, last.divisor + tokens, last.answers + answers)
    return kept


def choose_divisor(sampled: float, trained: float) -> float:
    """Choose what the loss of a batch is divided by; never 0.

    A recipe can leave out every sampled answer of a batch. Its repairs' loss is then a mean over
    the tokens that are trained, as anything else would be of no scale.

    Args:
        sampled: tokens that count: the divisors of all rows together.
        trained: tokens with an advantage.
    """
    return max(sampled or trained, 1)
