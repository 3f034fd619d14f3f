"""Says how long somebody who needs shards of a run for itself waits for those who have them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """How to wait for others.

    Attributes:
        stopped: whether a stop was asked for, which ends the waiting.
        tell: told, in a sentence, who is waited for.
    """

    stopped: Callable[[], bool]
    tell: Callable[[str], None]


AT_ONCE = Waiting(lambda: False, lambda _: None)
"""For a process that has the run alone, and waits for nobody."""
