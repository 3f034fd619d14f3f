"""Stops in order: the first signal lets what is in flight finish, the second ends at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

# SIGUSR1 is what Slurm is usually told to send before it takes a node away.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class StopSignal:
    """While entered, turns signals into a request to stop.

    Args:
        announce: called once, from the signal handler, when a stop is first asked for.
    """

    def __init__(self, announce: Callable[[], None] | None = None) -> None:
        self.requested = False
        self._announce = announce
        self._calls: list[Callable[[], None]] = []
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous.clear()

    @contextmanager
    def calling(self, call: Callable[[], None]) -> Iterator[None]:
        """Meanwhile, call something when a stop is first asked for; at once if it has been."""
        self._calls.append(call)
        try:
            if self.requested:
                call()
            yield
        finally:
            self._calls.remove(call)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        if self._announce is not None:
            self._announce()
        for call in tuple(self._calls):
            call()
