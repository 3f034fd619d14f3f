"""A policy whose values are known: an answer of n tokens, each right with a chance of its own.

An answer ends right if all its tokens are right, or if a wrong one was followed by a healing token:
at place i a right token comes with chance p_i, and a wrong state is healed with chance h_i. So V of
a prefix is a product of two-state transition matrices, in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Chain:
    """A policy of two states.

    Attributes:
        keeps: float64[n], chance that a right answer so far stays right at a place.
        heals: float64[n], chance that a wrong one becomes right again.
    """

    keeps: NDArray[np.float64]
    heals: NDArray[np.float64]

    def value(self, given: int, right: bool) -> float:
        """V after some tokens, in closed form."""
        chance = float(right)
        for keep, heal in zip(self.keeps[given:], self.heals[given:], strict=True):
            chance = chance * keep + (1 - chance) * heal
        return chance

    def draw(
        self, generator: np.random.Generator, given: int = 0, right: bool = True
    ) -> list[bool]:
        """Draw on: the state after each further token."""
        states = []
        for keep, heal in zip(self.keeps[given:], self.heals[given:], strict=True):
            right = bool(generator.random() < (keep if right else heal))
            states.append(right)
        return states

    def values_of(self, states: list[bool]) -> dict[int, float]:
        """V after every prefix of an answer, by number of tokens."""
        before = [True, *states]
        return {given: self.value(given, before[given]) for given in range(len(states) + 1)}
