"""Grades with a bound on time: what can hang runs in processes that can be killed."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import wait
from types import TracebackType
from typing import TYPE_CHECKING, Self

from dfgen.errors import DfgenError
from dfgen.grade.extract import extract_answer
from dfgen.grade.grading import check_verdict, grade_inline, make_failure, reconcile, resolve_name
from dfgen.grade.registry import get_grader
from dfgen.grade.worker import WorkerSetup
from dfgen.grade.worker_handle import WorkerHandle

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig
    from dfgen.grade.verdict import GradeItem, Verdict

_AHEAD = 64  # verdicts per worker that may wait for an earlier one


class GradePool:
    """Grades many completions; each takes at most `config.timeout_s` seconds in a worker.

    Letters, numbers and words are graded in the calling process (`grade_many`) or in a process that
    stands back behind others (`grade_batch`), algebra and users' graders always in worker
    processes. Processes start with the first item that needs one. A worker that is late or dies
    is replaced, and its item is undecided with a detail that says so.

    Args:
        config: how to grade.
        workers: processes at most.

    Raises:
        ConfigError: `config.grader`, or later an item's answer type, names no grader.
        DfgenError: worker processes cannot be started on this machine.
    """

    def __init__(self, config: GradeConfig, workers: int = 1) -> None:
        get_grader(config.grader)
        self._config = config
        self._workers = max(1, workers)
        self._idle: list[WorkerHandle] = []
        self._batches = BatchWorker(config)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes."""
        self._batches.stop()
        while self._idle:
            self._idle.pop().stop()

    def grade_one(self, item: GradeItem) -> Verdict:
        """Return the verdict on one completion."""
        return next(iter(self.grade_many([item])))

    def grade_many(self, items: Iterable[GradeItem]) -> Iterator[Verdict]:
        """Yield the verdicts in the order of the items, which are read as workers become free."""
        source = iter(items)
        done: dict[int, Verdict] = {}
        busy: dict[int, WorkerHandle] = {}
        taken = emitted = 0
        exhausted = False
        try:
            while True:
                while emitted in done:
                    yield done.pop(emitted)
                    emitted += 1
                room = len(busy) < self._workers and taken - emitted < _AHEAD * self._workers
                if room and not exhausted:
                    item = next(source, None)
                    if item is None:
                        exhausted = True
                        continue
                    verdict = grade_inline(item, self._config)
                    if verdict is None:
                        busy[taken] = self._assign(item)
                    else:
                        done[taken] = verdict
                    taken += 1
                elif busy:
                    self._collect(busy, done)
                else:
                    return
        finally:
            for worker in busy.values():
                worker.kill()

    def grade_batch(self, items: Sequence[GradeItem]) -> list[Verdict]:
        """Return the verdicts in order, computed outside the calling process.

        For callers who have better things to do with their processor than `grade_many`, which
        grades letters, numbers and words where it is called. The verdicts are the same.
        """
        verdicts = self._batches.grade(items)
        rest = self.grade_many(
            item for item, verdict in zip(items, verdicts, strict=True) if verdict is None
        )
        return [next(rest) if verdict is None else verdict for verdict in verdicts]

    def _start(self) -> WorkerHandle:
        return WorkerHandle(
            WorkerSetup(self._config), self._config.start_timeout_s, self._config.timeout_s
        )

    def _assign(self, item: GradeItem) -> WorkerHandle:
        while self._idle:
            worker = self._idle.pop()
            try:
                worker.assign(item)
            except OSError:  # it died while it had nothing to do
                worker.kill()
                continue
            return worker
        worker = self._start()
        worker.assign(item)
        return worker

    def _collect(self, busy: dict[int, WorkerHandle], done: dict[int, Verdict]) -> None:
        """Wait for the next message or deadline and settle what it concerns."""
        until = min(worker.deadline for worker in busy.values())
        pending = [worker.connection for worker in busy.values()]
        talking = wait(pending, max(0.0, until - time.monotonic()))
        now = time.monotonic()
        for index, worker in list(busy.items()):
            item = worker.item
            assert item is not None and not isinstance(item, tuple)
            if worker.connection in talking:
                try:
                    message = worker.receive()
                except (EOFError, OSError):
                    worker.wait_for_death()
                    done[index] = self._replace(worker, item, "the grading process {end}")
                    del busy[index]
                    continue
                if message is not None:
                    name = resolve_name(item, self._config)
                    done[index] = reconcile(check_verdict(message, name, item.answer))
                    del busy[index]
                    self._release(worker)
            elif now >= worker.deadline:
                bound = f"timed out after {self._config.timeout_s:g} s"
                done[index] = self._replace(worker, item, bound)
                del busy[index]

    def _release(self, worker: WorkerHandle) -> None:
        if worker.graded >= self._config.recycle_after or len(self._idle) >= self._workers:
            worker.stop()
        else:
            self._idle.append(worker)

    def _replace(self, worker: WorkerHandle, item: GradeItem, detail: str) -> Verdict:
        end = worker.kill()
        if not worker.ready:
            raise worker.explain_start()
        self._idle.append(self._start())  # it warms up while the caller goes on
        name = resolve_name(item, self._config)
        failure = make_failure(name, item.answer, detail.format(end=end))
        try:
            extraction = extract_answer(item.completion, fallback=self._config.fallback)
        except Exception:  # evidence only
            return failure
        return check_verdict(
            replace(failure, extracted=extraction.text, method=extraction.method), name, item.answer
        )


_NICENESS = 10
"""A tenth of a core where an engine wants all of them, and every core that is free."""


class BatchWorker:
    """One process for what `grade_inline` can decide; it starts with the first batch.

    The calling process, which feeds an engine, would hold Python's lock a third of a millisecond
    for each answer. If the process cannot start or dies, a `RuntimeWarning` says so, every verdict
    is None from then on and the caller grades itself: slower, with the same outcome.

    Args:
        config: how to grade.
    """

    def __init__(self, config: GradeConfig) -> None:
        self._config = config
        self._worker: WorkerHandle | None = None
        self._failed = False

    def grade(self, items: Sequence[GradeItem]) -> list[Verdict | None]:
        """Return a verdict for each item, None for those that may take long.

        Raises:
            ConfigError: an item or the configuration names an unknown grader.
        """
        names = [resolve_name(item, self._config) for item in items]
        quick = [index for index, name in enumerate(names) if get_grader(name).try_inline]
        verdicts: list[Verdict | None] = [None] * len(items)
        if self._failed or not quick:
            return verdicts
        try:
            answers = self._ask(tuple(items[index] for index in quick))
        except (EOFError, OSError, DfgenError) as error:
            self._failed = True
            self.stop()
            warnings.warn(
                f"the process that grades beside the engine has died ({error!r}); answers are "
                "graded in dfgen's own process from here, with the same verdicts.",
                RuntimeWarning,
                stacklevel=2,
            )
            return verdicts
        for index, verdict in zip(quick, answers, strict=True):
            verdicts[index] = verdict
        return verdicts

    def stop(self) -> None:
        """End the process."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()

    def _ask(self, items: tuple[GradeItem, ...]) -> list[Verdict | None]:
        if self._worker is None:
            setup = WorkerSetup(self._config, warm=False, niceness=_NICENESS)
            timeouts = (self._config.start_timeout_s, self._config.timeout_s)
            self._worker = WorkerHandle(setup, *timeouts)
        worker = self._worker
        worker.assign(items)
        while worker.connection.poll(max(0.0, worker.deadline - time.monotonic())):
            answer = worker.receive()
            if isinstance(answer, list):
                return answer
        raise TimeoutError
