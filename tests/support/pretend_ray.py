"""Ray as far as `dfgen.runners.ray.Crew` uses it, whose actors end as a test wants.

For what a real Ray does too seldom to wait for, such as an actor that only cannot be reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any


class PretendError(Exception):
    """`ray.exceptions.RayError`."""


class PretendRay:
    """Starts actors and ends them in the order in which they were started.

    Args:
        ends: of each actor: exit code and last words of its worker, or what Ray says of it.

    Attributes:
        started, killed: numbers of actors.
    """

    exceptions = SimpleNamespace(RayError=PretendError)

    def __init__(self, ends: Iterator[tuple[int, str] | PretendError]) -> None:
        self._ends = ends
        self.started: list[int] = []
        self.killed: list[int] = []

    def remote(self, kind: type) -> Any:
        """Make a kind of actors."""
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self._start))

    def _start(self, *_: object) -> Any:
        number = len(self.started)
        self.started.append(number)
        work = SimpleNamespace(remote=lambda *_: number)
        return SimpleNamespace(number=number, work=work)

    def wait(
        self, works: Sequence[int], num_returns: int, timeout: float
    ) -> tuple[list[int], list[int]]:
        """The oldest is ready."""
        del num_returns, timeout
        return [min(works)], [each for each in works if each != min(works)]

    def get(self, work: int) -> tuple[int, str]:
        """How it ended."""
        end = next(self._ends)
        if isinstance(end, PretendError):
            raise end
        return end

    def kill(self, actor: Any) -> None:
        """End an actor, and all that it has started."""
        self.killed.append(actor.number)
