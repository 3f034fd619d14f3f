"""Quick verdicts from a process that stands back behind whatever else the machine does."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dfgen.errors import DfgenError
from dfgen.grade.grading import resolve_name
from dfgen.grade.registry import get_grader
from dfgen.grade.worker import WorkerSetup
from dfgen.grade.worker_handle import WorkerHandle

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig
    from dfgen.grade.item import GradeItem
    from dfgen.grade.verdict import Verdict

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
