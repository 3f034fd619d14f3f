"""Grades what has been drawn, decides groups and writes shards, while the engine goes on.

All of it happens in one thread, in the order it was asked for; the verdicts themselves are computed
in processes of the pool. Draws are graded some at a time as they come, so that little is left to do
when the last one is in and the engine stands still.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Self

from dfgen.records import is_right, make_trajectory_id
from dfgen.stages.sample.draws import Draw, grade_draws
from dfgen.stages.sample.early_stop import find_decided, refuse_decided
from dfgen.stages.sample.shard import OpenShard
from dfgen.stages.session import Session

if TYPE_CHECKING:
    from dfgen.grade.pool import GradePool

_CHUNK = 64
"""Draws that are graded together."""

_BACKLOG = 16
"""Pieces of work that may wait when a new shard is begun; more would only fill the memory."""


class Grading:
    """The thread behind the drawing one. Enter it before use.

    Args:
        session: of the run.
        pool: who grades.
        model: name of the policy, for the rows.
    """

    def __init__(self, session: Session, pool: GradePool, model: str) -> None:
        self.session = session
        self.pool = pool
        self.model = model
        self.config = session.pipeline.sample
        # Loaded now: a tokenizer that is missing must not be found out after the first shard.
        self.tokenizer = session.tokenizer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dfgen-grade")
        self._working: deque[Future[None]] = deque()
        self._failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.shutdown()

    def take(self, state: OpenShard, *, all_in: bool = False) -> None:
        """Grade a shard's draws, if there are enough of them or these are all."""
        while len(state.ungraded) >= _CHUNK or (all_in and state.ungraded):
            chunk, state.ungraded = state.ungraded[:_CHUNK], state.ungraded[_CHUNK:]
            self._submit(lambda chunk=chunk: self._grade(state, chunk))  # type: ignore[misc]

    def decide(self, state: OpenShard, then: Callable[[], None]) -> None:
        """Find a shard's groups of which no more is drawn."""
        self.take(state, all_in=True)
        self._submit(lambda: self._decide(state, then))

    def finish(
        self,
        shard: int,
        state: OpenShard,
        write: Callable[[int, OpenShard], None] | None = None,
    ) -> None:
        """Write a shard of which every cell is drawn or left out.

        Args:
            write: does it with all verdicts in; None: as the rows of the sample stage.
        """
        self.take(state, all_in=True)
        self._submit(lambda: (write or self._finish)(shard, state))

    def check(self) -> None:
        """Raise what went wrong: a shard that could not be written must end the run at once."""
        while self._working and self._working[0].done():
            self._working.popleft().result()

    def wait(self, backlog: int = _BACKLOG) -> None:
        """Return when no more than this many pieces of work are left. Raises what went wrong."""
        while len(self._working) > backlog:
            self._working.popleft().result()

    def _submit(self, work: Callable[[], None]) -> None:
        self._working.append(self._thread.submit(self._attempt, work))

    def _attempt(self, work: Callable[[], None]) -> None:
        # A shard must not be written after some of its draws could not be graded.
        if self._failed:
            return
        try:
            work()
        except BaseException:
            self._failed = True
            raise

    def _grade(self, state: OpenShard, draws: list[Draw]) -> None:
        for row in grade_draws(draws, state.keys, self.tokenizer, self.pool, self.model):
            state.graded.add(row)

    def _decide(self, state: OpenShard, then: Callable[[], None]) -> None:
        first = self.config.stop_early_after
        assert first is not None
        # An answer that nobody could read says nothing of its group, whatever becomes of it later.
        right = {
            key: is_right(row.reward)
            for key, row in state.graded.rows.items()
            if not row.verdict.undecided
        }
        state.decided = find_decided(state.keys, first, right)
        then()

    def _finish(self, shard: int, state: OpenShard) -> None:
        rows, rejects = state.graded.rows, state.graded.rejects
        prompts = self.session.run.table("prompts").iter_rows(shard, ["prompt_id"])
        cells = [
            (row["prompt_id"], index) for row in prompts for index in range(self.config.num_samples)
        ]
        left_out = 0
        for prompt_id, index in cells:
            key = make_trajectory_id(prompt_id, index)
            if prompt_id in state.decided and key not in rows and key not in rejects:
                first, right = self.config.stop_early_after or 0, state.decided[prompt_id]
                rejects[key] = refuse_decided(prompt_id, index, first, right)
                left_out += 1
        order = [make_trajectory_id(*cell) for cell in cells]
        self.session.finish_shard(
            "sample",
            shard,
            [rows[key] for key in order if key in rows],
            [rejects[key] for key in order if key in rejects],
        )
        self.session.progress.advance(left_out)
