"""Opens an engine when its first request comes, and not at all if none does.

What was paid for is judged without the model that said it: that may be gone by then, or down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import chain

from dfgen.engines.base import (
    Engine,
    EngineInfo,
    PatientEngine,
    Request,
    Result,
    TellingEngine,
)


class LateEngine:
    """An engine that may never be needed (`dfgen.engines.base.Engine`).

    Args:
        load: loads it; whoever gave that closes what it returns, too.
    """

    def __init__(self, load: Callable[[], Engine]) -> None:
        self._load = load
        self._cut = False
        self._tell: Callable[[str], None] = lambda _: None

    @cached_property
    def _engine(self) -> Engine:
        engine = self._load()
        if isinstance(engine, TellingEngine):
            engine.tell_waits(self._tell)
        return engine

    @property
    def info(self) -> EngineInfo:
        """What makes the results. The engine is loaded to say it."""
        return self._engine.info

    def generate(self, requests: Iterable[Request]) -> Iterator[list[Result]]:
        """Complete the requests, as the engine does; without any it is not loaded."""
        rest = iter(requests)
        first = next(rest, None)
        if first is None:
            return
        engine = self._engine
        if not self._cut:  # while it was loaded: then it is asked nothing
            yield from engine.generate(chain([first], rest))

    def cut_waits(self) -> None:
        """Let go of what waits, as the engine does if it can, and of the first request if that has
        to wait for a model to be loaded."""
        self._cut = True
        engine = self.__dict__.get("_engine")
        if isinstance(engine, PatientEngine):
            engine.cut_waits()

    def tell_waits(self, tell: Callable[[str], None]) -> None:
        """Say for what there is no answer, as the engine does if it can."""
        self._tell = tell

    def close(self) -> None:
        """Nothing to do: see `load`."""
