"""Processes that share the rows of a stage: whether they are worth starting, and how they start.

Nobody can say beforehand what a row costs: texts may be 40 tokens long or 4,000. So a stage begins
in the process it has, measures, and starts others when what is left takes longer than starting.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from types import TracebackType

from dfgen.errors import DfgenError
from dfgen.interrupts import shield_children, start_tracker

START_SECONDS = 1.0
"""Processor time until a worker is up: Python, dfgen, Arrow, the tokenizer (measured: .6 to .8)."""

_FIRST_LOOK = 16
"""Rows before which nothing is concluded."""


class Pace:
    """What rows have cost so far, and how many processes the rest of them is worth.

    Args:
        warm_up: rows at the start whose time is left out: imports and caches, which come once.
        clock: seconds of work. The thread's processor time: that of other threads is not the rows',
            and on a busy machine the wall clock would say that rows are long.
    """

    def __init__(self, *, warm_up: int = 0, clock: Callable[[], float] = time.thread_time) -> None:
        self._warm_up = warm_up
        self._clock = clock
        self._rows = 0
        self._seconds = 0.0
        self._next_look = _FIRST_LOOK

    @contextmanager
    def measure(self, rows: int) -> Iterator[None]:
        """Note that what is done inside are so many rows."""
        start = self._clock()
        yield
        if self._warm_up > 0:
            self._warm_up -= rows
            return
        self._rows += rows
        self._seconds += self._clock() - start

    def is_time_to_look(self) -> bool:
        """Say whether much more has been measured than when this was true before: twice as much.

        Who asks after every row need not count then, each time, how many are left.
        """
        if self._rows < self._next_look:
            return False
        self._next_look = 2 * self._rows
        return True

    def choose_workers(self, left: int, most: int) -> int:
        """Say how many processes, this one included, pay for the rows that are left.

        n processes save left * cost * (1 - 1/n) seconds, and n - 1 of them have to start: worth it
        as long as the share of each is no shorter than a start.
        """
        seconds = left * self._seconds / self._rows if self._rows else 0.0
        return max(1, min(most, int(seconds / START_SECONDS)))


class _ShieldedProcess(SpawnProcess):
    """A new process that leaves it to its parent to stop, also while it imports."""

    def start(self) -> None:
        """Start it."""
        with shield_children(signal.SIGTERM):
            super().start()

    def terminate(self) -> None:
        """End it, as a pool does that has lost another one; by SIGTERM it cannot."""
        self.kill()


class _ShieldedContext(SpawnContext):
    Process = _ShieldedProcess


class ProcessPool(ProcessPoolExecutor):
    """Processes that are waited for only as long as somebody wants what they do."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """After an error finish what is in flight, and begin nothing more.

        A second Ctrl-C ends at once: the workers are killed, as they may be at any time, where the
        executor of Python would wait for all that it was given, the whole rest of a run.
        """
        if kind is not None and not issubclass(kind, Exception):
            for process in list((self._processes or {}).values()):
                process.kill()
        self.shutdown(cancel_futures=kind is not None)


def open_processes(
    workers: int, initializer: Callable[..., None], *arguments: object
) -> ProcessPool:
    """Processes that call `initializer(*arguments)` once; each starts when there is work for it.

    They are new processes, not copies of this one, whose threads and locks a copy would not bear.
    """
    start_tracker()
    return ProcessPool(
        workers,
        mp_context=_ShieldedContext(),
        initializer=_start_worker,
        initargs=(initializer, arguments),
    )


@contextmanager
def explain_death(work: str) -> Iterator[None]:
    """Turn the death of a worker into an error that says what to do.

    Args:
        work: what it did, as in "judges repairs".

    Raises:
        DfgenError: a worker has died.
    """
    try:
        yield
    except BrokenProcessPool as error:
        raise DfgenError(
            f"a process that {work} has died: {error}",
            hint="Often memory ran out; `--set workers=1` needs less. What is finished is kept; "
            "the same command goes on from there.",
        ) from error


def _start_worker(initializer: Callable[..., None], arguments: tuple[object, ...]) -> None:
    _follow_parent()
    initializer(*arguments)


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, and end when the parent does, however it ends.

    A process pool tells its workers when it is done. A parent that was killed tells nobody: its
    workers would wait for work for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="dfgen-parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
