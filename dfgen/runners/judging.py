"""Judges repairs in processes of their own, so that the one that drives the engine need not wait.

Comparing two long texts and checking what changed takes milliseconds. At hundreds of answers a
second they are more than one process has, and the next requests go out late.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dfgen.config.engine import Price
from dfgen.config.pipeline import Pipeline
from dfgen.errors import DfgenError
from dfgen.grade.pool import GradePool
from dfgen.runners.session import Session
from dfgen.runners.workers import follow_parent
from dfgen.stages.repair_judging import Answers, Judge, Judges, Outcome

# Starting a process and loading a tokenizer in it takes seconds; below this it does not pay.
ROWS_WORTH_A_PROCESS = 8_000
# More processes than this judge faster than any one process can ask.
_MOST = 4
# Answers that one process judges before it hands them back.
_CHUNK = 8
# Answers that may wait for each process: a kill loses them, though they are paid for.
_BACKLOG = 2 * _CHUNK


@dataclass(frozen=True, slots=True)
class JudgeSetup:
    """What a process needs to become a judge."""

    root: Path
    pipeline: Pipeline
    price: Price
    model: str


@contextmanager
def open_judges(session: Session, judge: Judge, rows: int) -> Iterator[Judges]:
    """Processes that judge as `judge` does, or that itself where processes do not pay.

    Args:
        rows: trajectories of the shards that are worked on.
    """
    workers = session.pipeline.workers
    if not workers:
        workers = min(os.cpu_count() or 1, _MOST) if rows >= ROWS_WORTH_A_PROCESS else 1
    if workers == 1:
        yield judge
        return
    setup = JudgeSetup(session.run.root, session.pipeline, judge.price, judge.model)
    # The caller's own work takes about one core.
    with JudgePool(setup, max(1, workers - 1)) as pool:
        yield pool


class JudgePool:
    """Judges in processes, as a context manager.

    Args:
        workers: processes.
    """

    def __init__(self, setup: JudgeSetup, workers: int) -> None:
        self._workers = workers
        self._pool = ProcessPoolExecutor(
            workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_open_worker,
            initargs=(setup,),
        )

    def __enter__(self) -> Self:
        with _explain_death():
            # No answer is paid for before somebody can judge it.
            self._pool.submit(os.getpid).result()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def judge_all(self, answers: Iterable[Answers]) -> Iterator[list[Outcome]]:
        """Judge lists of answers; each comes back whole, and in their order.

        An empty list says that no answer is ready: then all that are still with the processes are
        waited for.

        Raises:
            DfgenError: a process has died.
        """
        waiting: deque[list[Future[list[Outcome]]]] = deque()
        behind = 0
        with _explain_death():
            for batch in answers:
                if batch:
                    waiting.append([self._pool.submit(_judge, part) for part in _cut(batch)])
                    behind += len(batch)
                most = _BACKLOG * self._workers if batch else 0
                while waiting and (behind > most or all(part.done() for part in waiting[0])):
                    outcomes = _join(waiting.popleft())
                    behind -= len(outcomes)
                    yield outcomes
            while waiting:
                yield _join(waiting.popleft())


@contextmanager
def _explain_death() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise DfgenError(
            f"a process that judges repairs has died: {error}",
            hint="Often memory ran out; `--set workers=1` needs less. What is finished is kept; "
            "the same command goes on from there.",
        ) from error


def _cut(batch: Answers) -> Iterator[Answers]:
    for first in range(0, len(batch), _CHUNK):
        yield batch[first : first + _CHUNK]


def _join(parts: list[Future[list[Outcome]]]) -> list[Outcome]:
    return [outcome for part in parts for outcome in part.result()]


_JUDGE: list[Judge] = []


def _open_worker(setup: JudgeSetup) -> None:
    from dfgen.store.run import Run

    follow_parent()
    # The parent holds the run's lock and writes; a worker only reads which tokenizer there is.
    session = Session(Run.open_or_create(setup.root, None), setup.pipeline)
    pipeline = setup.pipeline
    _JUDGE.append(
        Judge(
            pipeline.repair,
            session.tokenizer,
            GradePool(pipeline.grade),
            pipeline.mask,
            setup.price,
            setup.model,
        )
    )


def _judge(answers: Answers) -> list[Outcome]:
    return [_JUDGE[0].judge(result, waiting) for result, waiting in answers]
