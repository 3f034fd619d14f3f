"""Judges repairs in processes of their own, so that the one that drives the engine need not wait.

Comparing two long texts and checking what changed takes milliseconds. At hundreds of answers a
second they are more than one process has, and the next requests go out late. Answers may wait here:
whoever hands them over has them on disk. When many do, the process that drives the engine judges,
too, so that no core is idle while there is work.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from dfgen.config.engine import Price
from dfgen.config.pipeline import Pipeline
from dfgen.errors import DfgenError
from dfgen.grade.pool import GradePool
from dfgen.stages.repair.judge import Answers, Judge, Judges, Outcome
from dfgen.stages.session import Session
from dfgen.stages.workers import follow_parent
from dfgen.tokens.tokenizer import TextTokenizer

# Starting a process takes a second; below this it does not pay.
ROWS_WORTH_A_PROCESS = 4_000
# More processes than this judge faster than any one process can ask.
_MOST = 4
# Answers that one process judges before it hands them back.
_CHUNK = 8
# Answers that may wait for each process before the caller judges the next ones itself.
_BACKLOG = 8 * _CHUNK


@dataclass(frozen=True, slots=True)
class JudgeSetup:
    """What a process needs to become a judge."""

    pipeline: Pipeline
    tokenizer: TextTokenizer
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
    setup = JudgeSetup(session.pipeline, judge.tokenizer, judge.price, judge.model)
    # The caller's own work takes about one core.
    with JudgePool(setup, max(1, workers - 1), judge) as pool:
        yield pool


class JudgePool:
    """Judges in processes, as a context manager.

    Args:
        workers: processes. They are started here and work when they are up.
        judge: of this process, for what is too much for them.
    """

    def __init__(self, setup: JudgeSetup, workers: int, judge: Judge) -> None:
        self._judge = judge
        self._most = _BACKLOG * workers
        self._pool = ProcessPoolExecutor(
            workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_open_worker,
            initargs=(setup,),
        )

    def __enter__(self) -> Self:
        with _explain_death():
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
        with _explain_death():
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


_JUDGE: list[Judge] = []


def _open_worker(setup: JudgeSetup) -> None:
    follow_parent()
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
