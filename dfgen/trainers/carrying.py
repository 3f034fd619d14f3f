"""Leaves out rows without a gradient, and keeps the tokens that they count in the divisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dfgen.trainers.example import Example


def carry_divisors(group: list[Example]) -> list[tuple[Example, int]]:
    """Pair the examples of a group that have a gradient with divisors that count the others too.

    The divisor of a batch is the tokens that were sampled for it. Where all answers are wrong, only
    repairs have a gradient, and their own divisors are 0: without this a batch of them would be
    divided by nothing. The row after an answer that is left out, in most cases its repair, takes
    over its divisor; the last row those of the rest. A group without any gradient is left out.

    Args:
        group: of `Examples.iter_groups`, made with `keep_zero=True`.
    """
    kept: list[tuple[Example, int]] = []
    waiting = 0
    for example in group:
        if example.advantages.any():
            kept.append((example, example.divisor + waiting))
            waiting = 0
        else:
            waiting += example.divisor
    if kept and waiting:
        example, divisor = kept[-1]
        kept[-1] = example, divisor + waiting
    return kept
