"""Stops in order: the first signal lets what is in flight finish, the second ends at once.

While a model is being loaded nothing is in flight: then the first one ends at once, too, unless
the library that loads it cannot be interrupted.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from dfgen.ending import leave_terminal

# SIGUSR1 is what Slurm is usually told to send before it takes a node away; SIGHUP says that the
# terminal is gone, such as an SSH connection that broke.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)

AGAIN_S = 10.0
"""A library that is interrupted while it loads a model ends its own processes first."""


class LoadingStopped(KeyboardInterrupt):
    """A stop was asked for while a model was being loaded."""


class StopSignal:
    """While entered, turns signals into a request to stop.

    Args:
        announce: called once, from the signal handler, when a stop is first asked for, with what
            becomes of the model that is being loaded; empty: none is.
    """

    def __init__(self, announce: Callable[[str], None] | None = None) -> None:
        self.requested = False
        self._announce = announce
        self._loading = False
        self._awaited = False
        self._repeating = False
        self._calls: list[Callable[[], None]] = []
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                    continue  # `nohup`
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

    @contextmanager
    def finishing_load(self) -> Iterator[None]:
        """Meanwhile, a stop says that a model is loaded to the end first."""
        self._awaited = True
        try:
            yield
        finally:
            self._awaited = False

    @contextmanager
    def giving_up(self) -> Iterator[None]:
        """Meanwhile, a stop ends what is being done at once: nothing of it is worth keeping.

        Raises:
            LoadingStopped: a stop is asked for, or has been.
        """
        if self.requested:
            raise LoadingStopped
        self._loading = True
        try:
            yield
        except Exception:
            if self.requested:  # a library has made an error of its own of the interrupt
                raise LoadingStopped from None
            raise
        finally:
            self._loading = False

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if number == signal.SIGHUP:
            leave_terminal()
        if self._repeating:  # nobody else has asked
            self._repeating = False
            if not self._loading:
                return
        if self.requested:
            raise LoadingStopped if self._loading else KeyboardInterrupt
        self.requested = True
        if self._announce is not None:
            awaited = "finished first" if self._awaited else ""
            self._announce("given up" if self._loading else awaited)
        for call in tuple(self._calls):
            call()
        if self._loading:
            self._ask_again(number)
            raise LoadingStopped

    def _ask_again(self, number: int) -> None:
        """Interrupt what is being loaded once more, should a library have swallowed it and wait."""

        def interrupt() -> None:
            if self._loading:
                self._repeating = True
                os.kill(os.getpid(), number)
                self._ask_again(number)

        timer = threading.Timer(AGAIN_S, interrupt)
        timer.daemon = True
        timer.start()
