"""Runs the sample stage over the shards of a run.

Requests stream through the engine without a pause between shards. A draw goes to its shard's
journal the moment it is finished; when a shard's last draw is in, another thread grades it and
writes its file, while the engine goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dfgen.engines.base import Engine, Request
from dfgen.records import Reject, Trajectory
from dfgen.runners.prompts import read_shard
from dfgen.runners.session import Session, describe_engine
from dfgen.stages.sample import (
    AnswerKey,
    Draw,
    draw_samples,
    grade_draws,
    make_answer_key,
    make_requests,
    name_trajectory,
    order_for_batches,
)

if TYPE_CHECKING:
    from dfgen.grade.pool import GradePool


def run_sampling(session: Session, engine: Engine, pool: GradePool, todo: list[int]) -> None:
    """Draw and grade every cell of these shards that is not on disk yet."""
    session.run.set_stage("sample", state="running", counts={}, engine=describe_engine(engine))
    Sampling(session, engine, pool).execute(todo)


class Sampling:
    """One pass over the unfinished shards."""

    def __init__(self, session: Session, engine: Engine, pool: GradePool) -> None:
        self.session = session
        self.engine = engine
        self.pool = pool
        self.config = session.pipeline.sample
        self.open: dict[int, OpenShard] = {}
        self.shard_of: dict[str, int] = {}
        self.finishing: list[Future[None]] = []

    def execute(self, todo: list[int]) -> None:
        """Draw the cells of these shards and finish the shards in the order they fill up."""
        run, progress = self.session.run, self.session.progress
        prompts = run.table("prompts")
        rows = {shard: prompts.num_rows(shard) for shard in prompts.shards()}
        size = self.config.num_samples
        finished = sum(rows[shard] for shard in rows if shard not in todo)
        progress.start("sample", sum(rows.values()) * size, finished * size)
        with ThreadPoolExecutor(1, thread_name_prefix="dfgen-grade") as grader:
            requests = self.session.until_stopped(self._feed(todo, grader))
            for draws in draw_samples(self.engine, requests):
                for shard in self._keep(draws):
                    self.finishing.append(grader.submit(self._finish, shard))
                progress.advance(
                    len(draws), rejected=sum(draw.reason is not None for draw in draws)
                )
                self._check_finished()
            for future in self.finishing:
                future.result()
        if not self.session.stop.requested:
            progress.finish("sample")

    def _feed(self, todo: list[int], grader: ThreadPoolExecutor) -> Iterator[Request]:
        for shard in todo:
            prompts = order_for_batches(read_shard(self.session, shard))
            cells = {
                name_trajectory(prompt.prompt_id, index)
                for prompt in prompts
                for index in range(self.config.num_samples)
            }
            journal = self.session.journal("sample", shard)
            draws = {
                draw.trajectory_id: draw for draw in map(Draw.model_validate, journal.replay())
            }
            done = self._list_written(shard) | draws.keys()
            self.session.progress.advance(len(done & cells))
            missing = cells - done
            self.open[shard] = OpenShard(
                keys={prompt.prompt_id: make_answer_key(prompt) for prompt in prompts},
                draws=draws,
                missing=len(missing),
            )
            if not missing:
                self.finishing.append(grader.submit(self._finish, shard))
                continue
            self.shard_of.update((key, shard) for key in missing)
            yield from make_requests(prompts, self.config, self.session.pipeline.seed, done)

    def _list_written(self, shard: int) -> set[str]:
        """Cells in the shard's files: there are some when `num_samples` has grown."""
        return {row.trajectory_id for row in self._read_rows(shard)} | {
            reject.row_id for reject in self._read_rejects(shard)
        }

    def _read_rows(self, shard: int) -> list[Trajectory]:
        table = self.session.run.table("trajectories")
        rows = table.iter_rows(shard) if table.exists(shard) else ()
        return [Trajectory.model_validate(row) for row in rows]

    def _read_rejects(self, shard: int) -> list[Reject]:
        ledger = self.session.run.rejects("sample")
        rows = ledger.iter_rows(shard) if ledger.exists(shard) else ()
        return [Reject.model_validate(row) for row in rows]

    def _keep(self, draws: list[Draw]) -> list[int]:
        """Journal draws; returns the shards that they complete."""
        by_shard: dict[int, list[Draw]] = {}
        for draw in draws:
            by_shard.setdefault(self.shard_of.pop(draw.trajectory_id), []).append(draw)
        complete = []
        for shard, fresh in by_shard.items():
            self.session.journal("sample", shard).append(
                [draw.model_dump(exclude_defaults=True) for draw in fresh]
            )
            state = self.open[shard]
            state.draws.update((draw.trajectory_id, draw) for draw in fresh)
            state.missing -= len(fresh)
            if not state.missing:
                complete.append(shard)
        return complete

    def _check_finished(self) -> None:
        """A shard that could not be written must end the run now, not after the last draw."""
        done = [future for future in self.finishing if future.done()]
        for future in done:
            future.result()
            self.finishing.remove(future)

    def _finish(self, shard: int) -> None:
        state = self.open.pop(shard)
        rows = {row.trajectory_id: row for row in self._read_rows(shard)}
        rejects = {reject.row_id: reject for reject in self._read_rejects(shard)}
        fresh = [
            draw for key, draw in state.draws.items() if key not in rows and key not in rejects
        ]
        for row in grade_draws(
            fresh, state.keys, self.session.tokenizer, self.pool, self.engine.info.model
        ):
            if isinstance(row, Reject):
                rejects[row.row_id] = row
            else:
                rows[row.trajectory_id] = row
        prompts = self.session.run.table("prompts").iter_rows(shard, ["prompt_id"])
        order = [
            name_trajectory(row["prompt_id"], index)
            for row in prompts
            for index in range(self.config.num_samples)
        ]
        self.session.finish_shard(
            "sample",
            shard,
            [rows[key] for key in order if key in rows],
            [rejects[key] for key in order if key in rejects],
        )


@dataclass
class OpenShard:
    """A shard in work: how to grade it, what is drawn, and how many cells are still missing."""

    keys: dict[str, AnswerKey]
    draws: dict[str, Draw]
    missing: int
