"""Defines amounts of work that nobody knows yet: between a least and a most."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from dfgen.config.engine import Price


@dataclass(frozen=True, slots=True)
class Amount:
    """How much of something there will be.

    Attributes:
        least: not less, as far as the first rows show.
        most: not more; None: nobody can say.
    """

    least: float = 0
    most: float | None = 0

    def __add__(self, other: Amount) -> Amount:
        most = None if self.most is None or other.most is None else self.most + other.most
        return Amount(self.least + other.least, most)

    def times(self, factor: float) -> Amount:
        """Return as much as this so many times."""
        return Amount(self.least * factor, None if self.most is None else self.most * factor)

    def to_json(self, digits: int = 0) -> dict[str, float | None]:
        """Return both, rounded."""
        return {
            "least": _round(self.least, digits),
            "most": None if self.most is None else _round(self.most, digits),
        }


@dataclass(frozen=True, slots=True)
class Work:
    """What a stage asks of its engine.

    Attributes:
        requests: completions that are asked for, or texts that are scored.
        prompt_tokens: that are read, pictures included.
        image_tokens: those of them that stand for pictures.
        completion_tokens: that are written.
        usd: US dollars.
    """

    requests: Amount = Amount()
    prompt_tokens: Amount = Amount()
    image_tokens: Amount = Amount()
    completion_tokens: Amount = Amount()
    usd: Amount = Amount()

    def __add__(self, other: Work) -> Work:
        return Work(
            *(getattr(self, each.name) + getattr(other, each.name) for each in fields(Work))
        )

    def priced(self, price: Price) -> Work:
        """Return the same with what it costs."""
        usd = self.prompt_tokens.times(price.prompt / 1e6) + self.completion_tokens.times(
            price.completion / 1e6
        )
        counts = (self.requests, self.prompt_tokens, self.image_tokens, self.completion_tokens)
        return Work(*counts, usd)

    def to_json(self) -> dict[str, Any]:
        """Return every amount by its name."""
        digits = {"usd": 6}
        return {
            each.name: getattr(self, each.name).to_json(digits.get(each.name, 0))
            for each in fields(Work)
        }


def add_up(works: Iterable[Work]) -> Work:
    """Return all works together."""
    total = Work()
    for work in works:
        total = total + work
    return total


def _round(value: float, digits: int) -> float:
    return round(value, digits) if digits else round(value)
