"""Runs an asyncio event loop in a thread, so that a plain iterator has many requests in flight."""

from __future__ import annotations

import asyncio
import math
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, Self, TypeVar

Job = TypeVar("Job")
Done = TypeVar("Done")
Work = Callable[[Job], Awaitable[Done]]

_LOOK_S = 0.5
"""Seconds after which a wait looks up: the handler of a signal that came in the moment before the
wait began, or to another thread, runs only then."""


class LoopThread(Generic[Job, Done]):
    """Runs jobs concurrently in a thread of its own.

    Used by one thread, as a context manager. Leaving it cancels what is in flight, waits for the
    cancelled jobs to let go of their connections, and ends the thread.

    Args:
        open_work: opens what the jobs need (a client) inside the loop, and gives the function that
            does one job.
    """

    def __init__(self, open_work: Callable[[], AbstractAsyncContextManager[Work[Job, Done]]]):
        self._open_work = open_work
        self._done: queue.SimpleQueue[Done | BaseException] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        # A daemon: a connection that does not let go must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name="dfgen-openai", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._tell(self._stop)
        self._thread.join()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Start jobs."""
        if jobs:
            self._tell(self._start, jobs)

    def call(self, function: Callable[[], None]) -> None:
        """Have a function called in the loop, soon; from any thread or signal handler."""
        self._tell(function)

    def has_done(self) -> bool:
        """Tell whether `take` would return at once."""
        return not self._done.empty() or self._error is not None

    def take(self, patience_s: float = math.inf) -> list[Done]:
        """Wait for at least one job to finish and return all that have, in that order.

        Args:
            patience_s: after so many seconds none is returned.

        Raises:
            BaseException: what a job raised; jobs that finished before it are returned first.
        """
        if self._error is not None:
            raise self._error
        finished: list[Done] = []
        until = time.monotonic() + patience_s
        while not finished or not self._done.empty():
            try:
                item = self._done.get(timeout=_LOOK_S)
            except queue.Empty:
                if time.monotonic() > until:
                    break
                continue
            if isinstance(item, BaseException):
                self._error = item
                if not finished:
                    raise item
                break
            finished.append(item)
        return finished

    def _tell(self, call: Callable[..., None], *arguments: object) -> None:
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(call, *arguments)
            except RuntimeError:
                # The loop has ended with an error, which `take` reports.
                if not self._loop.is_closed():
                    raise

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._done.put(error)
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        async with self._open_work() as work:
            self._work = work
            self._loop = asyncio.get_running_loop()
            self._ready.set()
            try:
                await self._stopping.wait()
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    def _stop(self) -> None:
        self._stopping.set()

    def _start(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            task = asyncio.get_running_loop().create_task(self._finish(job))
            # The loop itself holds tasks weakly.
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _finish(self, job: Job) -> None:
        try:
            self._done.put(await self._work(job))
        except Exception as error:
            self._done.put(error)
