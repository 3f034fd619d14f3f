"""Judges repairs in processes of their own, so that the one that drives the engine need not wait.

Comparing two long texts and checking what changed takes milliseconds. At hundreds of answers a
second they are more than one process has, and the next requests go out late. Answers may wait here:
whoever hands them over has them on disk. When many do, the process that drives the engine judges,
too, so that no core is idle while there is work. Whether processes pay is measured: the first
answers are judged without them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from dfgen.config.engine import Price
from dfgen.config.pipeline import Pipeline
from dfgen.grade.pool import GradePool
from dfgen.stages.repair.judge import Answers, Judge, Judges, Outcome
from dfgen.stages.session import Session
from dfgen.stages.workers import Pace, explain_death, open_processes
from dfgen.tokens.tokenizer import TextTokenizer

# More processes than this judge faster than any one process can ask.
_MOST = 4
# Answers that one process judges before it hands them back.
_CHUNK = 8
# Answers that may wait for each process before the caller judges the next ones itself.
_BACKLOG = 8 * _CHUNK
# Answers that are not measured: graders and tables are loaded with the first of them.
_WARM_UP = 8


@dataclass(frozen=True, slots=True)
class JudgeSetup:
    """What a process needs to become a judge."""

    pipeline: Pipeline
    tokenizer: TextTokenizer
    price: Price
    model: str


@contextmanager
def open_judges(
    session: Session,
    judge: Judge,
    count_left: Callable[[], int],
    clock: Callable[[], float] = time.thread_time,
) -> Iterator[Judges]:
    """Judges that do as `judge` does: that itself, and processes from when they pay.

    A number of `workers` in the pipeline is what is used, from the start.

    Args:
        count_left: answers that are still to come, as far as it is known.
        clock: seconds that judging takes are differences of it.
    """
    setup = JudgeSetup(session.pipeline, judge.tokenizer, judge.price, judge.model)
    workers = session.pipeline.workers
    if workers > 1:
        # The caller's own work takes about one core.
        with JudgePool(setup, workers - 1, judge) as pool:
            yield pool
        return
    most = workers or min(os.cpu_count() or 1, _MOST)
    if most == 1:
        yield judge
        return
    pace = Pace(warm_up=_WARM_UP, clock=clock)
    with GrowingJudges(setup, most, judge, count_left, pace) as judges:
        yield judges


class GrowingJudges:
    """Judges in this process until processes are worth their start, as a context manager.

    Args:
        most: processes at most, this one included.
        judge: of this process.
        count_left: answers that are still to come.
        pace: measures what the first ones cost.
    """

    def __init__(
        self, setup: JudgeSetup, most: int, judge: Judge, count_left: Callable[[], int], pace: Pace
    ) -> None:
        self.pool: JudgePool | None = None
        self._setup = setup
        self._most = most
        self._judge = judge
        self._count_left = count_left
        self._pace = pace

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.pool is not None:
            self.pool.__exit__()

    def judge_all(self, answers: Iterable[Answers]) -> Iterator[list[Outcome]]:
        """Judge answers; outcomes come as they are ready.

        Raises:
            DfgenError: a process has died.
        """
        rest = iter(answers)
        if self.pool is None:
            for batch in rest:
                outcomes = []
                for result, waiting in batch:
                    with self._pace.measure(1):
                        outcomes.append(self._judge.judge(result, waiting))
                yield outcomes
                if self._pace.is_time_to_look() and self._grow():
                    break
        if self.pool is not None:
            yield from self.pool.judge_all(rest)

    def _grow(self) -> bool:
        workers = self._pace.choose_workers(self._count_left(), self._most)
        if workers == 1:
            return False
        self.pool = JudgePool(self._setup, workers - 1, self._judge).__enter__()
        return True


class JudgePool:
    """Judges in processes, as a context manager.

    Args:
        workers: processes. They are started here and work when they are up.
        judge: of this process, for what is too much for them.
    """

    def __init__(self, setup: JudgeSetup, workers: int, judge: Judge) -> None:
        self._judge = judge
        self._most = _BACKLOG * workers
        self._pool = open_processes(workers, _open_worker, setup)

    def __enter__(self) -> Self:
        with explain_death(_WORK):
            self._pool.submit(os.getpid)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def judge_all(self, answers: Iterable[Answers]) -> Iterator[list[Outcome]]:
        """Judge answers; outcomes come as they are ready.

        Raises:
            DfgenError: a process has died.
        """
        waiting: dict[Future[list[Outcome]], int] = {}
        with explain_death(_WORK):
            for batch in answers:
                for part in _cut(batch):
                    if sum(waiting.values()) < self._most:
                        waiting[self._pool.submit(_judge, part)] = len(part)
                    else:
                        yield [self._judge.judge(result, task) for result, task in part]
                for future in [future for future in waiting if future.done()]:
                    del waiting[future]
                    yield future.result()
            for future in waiting:
                yield future.result()


_WORK = "judges repairs"


def _cut(batch: Answers) -> Iterator[Answers]:
    for first in range(0, len(batch), _CHUNK):
        yield batch[first : first + _CHUNK]


_JUDGE: list[Judge] = []


def _open_worker(setup: JudgeSetup) -> None:
    pipeline = setup.pipeline
    _JUDGE.append(
        Judge(
            pipeline.repair,
            setup.tokenizer,
            GradePool(pipeline.grade),
            pipeline.mask,
            setup.price,
            setup.model,
        )
    )


def _judge(answers: Answers) -> list[Outcome]:
    return [_JUDGE[0].judge(result, waiting) for result, waiting in answers]
