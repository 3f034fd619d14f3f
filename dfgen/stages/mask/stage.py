"""Runs the mask stage, a shard at a time, on all cores where that pays.

Masks cost little and can be made again at any time, so there is no journal: a shard's file appears
whole or not at all.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from contextlib import contextmanager

from dfgen.records import Reject, Repair, Trajectory
from dfgen.stages.mask.metadata import read_metadata
from dfgen.stages.mask.rows import DIGESTS, FOLDED, Sides
from dfgen.stages.session import Session
from dfgen.stages.session_workers import get_session, open_sessions
from dfgen.stages.work import Tools
from dfgen.stages.workers import Pace, explain_death
from dfgen.store.layout import find_writer, list_side_tables
from dfgen.store.run import Run


class MaskStage:
    """Trajectories and repairs become masks (`dfgen.stages.work.StageWork`)."""

    stage = "mask"

    def list_facts(self, session: Session) -> dict[str, str]:
        """List the tokenizer, in whose tokens the masks are."""
        return {"tokenizer": session.tokenizer.sha256}

    @contextmanager
    def open_tools(self, session: Session) -> Iterator[Tools]:
        """Load the tokenizer, which is all that it takes."""
        facts = self.list_facts(session)
        yield Tools(session.pipeline, tokenizer=session.tokenizer, facts=facts, notes=facts)

    def run_shards(self, session: Session, tools: Tools, shards: list[int]) -> None:  # noqa: ARG002
        """Make the masks of these shards."""
        run_masking(session, shards)

    def close(self, session: Session) -> None:
        """Nothing is left to say."""


def run_masking(
    session: Session, todo: list[int], clock: Callable[[], float] = time.thread_time
) -> None:
    """Make the masks of these shards.

    Args:
        clock: seconds that rows take are differences of it.
    """
    trajectories = session.run.table("trajectories")
    rows = {shard: trajectories.num_rows(shard) for shard in todo}
    left = sum(rows.values())
    total = max(left, session.run.manifest.get_stage("sample").counts.get("output", 0))
    session.progress.start("mask", total, total - left)
    for shard, rejected in _mask_all(session, rows, Pace(clock=clock)):
        session.progress.advance(rows[shard], rejected=rejected)
    if not session.stop.requested:
        session.progress.finish("mask")


def mask_shard(session: Session, shard: int) -> int:
    """Make one shard's masks; returns how many rows were rejected."""
    from dfgen.stages.mask.rows import MaskMaker, prepare_masks

    run = session.run
    trajectories = (
        Trajectory.model_validate(row) for row in run.table("trajectories").iter_rows(shard)
    )
    sides = read_sides(run, shard)
    for key, columns in read_metadata(run, shard, session.pipeline.mask.metadata).items():
        sides.setdefault(key, {}).update(columns)
    repairs: dict[str, Repair] = {}
    if run.table("repairs").exists(shard):
        for row in run.table("repairs").iter_rows(shard):
            repair = Repair.model_validate(row)
            repairs[repair.trajectory_id] = repair
    makers: list[MaskMaker] = []
    rejects: list[Reject] = []
    for made in prepare_masks(
        trajectories,
        repairs,
        session.tokenizer,
        session.pipeline.mask,
        sides,
        session.pipeline.grade.undecided,
    ):
        if isinstance(made, Reject):
            rejects.append(made)
        else:
            makers.append(made)
    session.finish_shard("mask", shard, (make() for make in makers), rejects)
    return len(rejects)


def read_sides(run: Run, shard: int) -> Sides:
    """Read what the side tables say of the trajectories of a shard, by trajectory_id and column.

    Only columns that a mask has, too, and only shards that were made from what is there now: an
    older one says something of rows that have changed since.
    """
    sides: Sides = {}
    for name in list_side_tables():
        table, stage = run.table(name), find_writer(name)
        columns = [name for name in table.model.model_fields if name in FOLDED]
        digests = [name for name in table.model.model_fields if name in DIGESTS]
        if not columns or not table.exists(shard) or not run.is_current(stage, shard):
            continue
        for row in table.iter_rows(shard, ["trajectory_id", *columns, *digests]):
            said = {name: row[name] for name in columns if row[name] is not None}
            said |= {f"{stage}.{digest}": row[digest] for digest in digests}
            sides.setdefault(row["trajectory_id"], {}).update(said)
    return sides


def _mask_all(session: Session, rows: dict[int, int], pace: Pace) -> Iterator[tuple[int, int]]:
    """Shards as they are done, and their rejects: in this process, and in others if they pay.

    Args:
        rows: of each shard to be done.
    """
    importlib.import_module("dfgen.stages.mask.rows")  # loaded once, and no row's cost
    wanted, left = session.pipeline.workers, dict(rows)
    workers = wanted or 1
    for shard in session.until_stopped(list(rows)):
        if not wanted and pace.is_time_to_look():
            workers = pace.choose_workers(sum(left.values()), os.cpu_count() or 1)
        if min(workers, len(left)) > 1:
            yield from _mask_in_processes(session, list(left), min(workers, len(left)))
            return
        with pace.measure(left.pop(shard)):
            rejected = mask_shard(session, shard)
        yield shard, rejected


def _mask_in_processes(
    session: Session, shards: list[int], workers: int
) -> Iterator[tuple[int, int]]:
    with explain_death("makes masks"), open_sessions(session, workers) as pool:
        futures = {pool.submit(_mask_in_worker, shard): shard for shard in shards}
        for future in as_completed(futures):
            yield futures[future], future.result()
            if session.stop.requested:
                pool.shutdown(cancel_futures=True)
                return


def _mask_in_worker(shard: int) -> int:
    return mask_shard(get_session(), shard)
