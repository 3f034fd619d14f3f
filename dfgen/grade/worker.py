"""Runs graders which may hang, in a process of their own."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from dfgen.grade.grading import grade_inline, make_failure, run_grader
from dfgen.grade.verdict import GradeItem

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig

READY = "ready"


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """The first message to a worker.

    Args:
        config: how to grade.
        warm: import math-verify before saying ready, so that no item pays for it.
        niceness: added to the process's own. Not for a process whose items are killed when they are
            late: on a busy machine verdicts would depend on what else runs there.
    """

    config: GradeConfig
    warm: bool = True
    niceness: int = 0


def _limit_memory(megabytes: int | None) -> None:
    if megabytes is None:
        return
    try:
        import resource
    except ImportError:  # not on Windows
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = megabytes * 2**20
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def serve(descriptor: int) -> None:
    """Grade items from the socket `descriptor` until it closes. Entry point of the process.

    One item is answered by its verdict; a tuple of items by a list with a verdict for each that can
    be graded inline, and None for the others.

    An alarm kills the process some time after the pool should have: it is what ends a hanging
    grader when the pool itself was killed and nobody is left to do so.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the pool decides what an interrupt ends
    connection: Connection[object, object] = Connection(descriptor)
    try:
        setup = connection.recv()
        assert isinstance(setup, WorkerSetup)
        _limit_memory(setup.config.memory_mb)
        if setup.niceness:
            os.nice(setup.niceness)
        if setup.warm:
            from dfgen.grade.math import load_engine

            load_engine()
        connection.send(READY)
        while True:
            work = connection.recv()
            count = len(work) if isinstance(work, tuple) else 1
            signal.setitimer(signal.ITIMER_REAL, 1.5 * setup.config.timeout_s * count + 1.0)
            answer = _grade(work, setup.config)
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            connection.send(answer)
    except (EOFError, OSError):
        return


def _grade(work: object, config: GradeConfig) -> object:
    if isinstance(work, tuple):
        return [grade_inline(item, config) for item in work]
    assert isinstance(work, GradeItem)
    try:
        return run_grader(work, config)
    except Exception as error:
        return make_failure(work.answer_type, work.answer, f"{type(error).__name__}: {error}")
