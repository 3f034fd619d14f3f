"""Runs the mask stage: one process per core, a shard at a time.

Masks cost little and can be made again at any time, so there is no journal: a shard's file appears
whole or not at all.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from dfgen.config.pipeline import Pipeline
from dfgen.records import Reject, Repair, Trajectory
from dfgen.stages.mask.rows import FOLDED, Sides
from dfgen.stages.session import Session
from dfgen.stages.work import Tools
from dfgen.stages.workers import follow_parent
from dfgen.store.layout import find_writer, list_side_tables
from dfgen.store.run import Run
from dfgen.tokens.tokenizer import TextTokenizer

# Starting a process takes a second; below this it does not pay.
ROWS_WORTH_A_PROCESS = 20_000


class MaskStage:
    """Trajectories and repairs become masks (`dfgen.stages.work.StageWork`)."""

    stage = "mask"

    def list_facts(self, session: Session) -> dict[str, str]:
        """The tokenizer, in whose tokens the masks are."""
        return {"tokenizer": session.tokenizer.sha256}

    @contextmanager
    def open_tools(self, session: Session) -> Iterator[Tools]:
        """The tokenizer is all that it takes."""
        facts = self.list_facts(session)
        yield Tools(session.pipeline, tokenizer=session.tokenizer, facts=facts, notes=facts)

    def run_shards(self, session: Session, tools: Tools, shards: list[int]) -> None:  # noqa: ARG002
        """Make the masks of these shards."""
        run_masking(session, shards)

    def close(self, session: Session) -> None:
        """Nothing is left to say."""


def run_masking(session: Session, todo: list[int]) -> None:
    """Make the masks of these shards."""
    trajectories = session.run.table("trajectories")
    rows = {shard: trajectories.num_rows(shard) for shard in todo}
    left = sum(rows.values())
    total = max(left, session.run.manifest.get_stage("sample").counts.get("output", 0))
    session.progress.start("mask", total, total - left)
    workers = _choose_workers(session.pipeline.workers, len(todo), left)
    for shard, rejected in _mask_all(session, todo, workers):
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
    """What the side tables say of the trajectories of a shard, by trajectory_id and column.

    Only columns that a mask has, too, and only shards that were made from what is there now: an
    older one says something of rows that have changed since.
    """
    sides: Sides = {}
    for name in list_side_tables():
        table, stage = run.table(name), find_writer(name)
        columns = [name for name in table.model.model_fields if name in FOLDED]
        if not columns or not table.exists(shard) or not run.is_current(stage, shard):
            continue
        for row in table.iter_rows(shard, ["trajectory_id", *columns]):
            said = {name: row[name] for name in columns if row[name] is not None}
            sides.setdefault(row["trajectory_id"], {}).update(said)
    return sides


def _choose_workers(wanted: int, shards: int, rows: int) -> int:
    if not wanted:
        wanted = (os.cpu_count() or 1) if rows >= ROWS_WORTH_A_PROCESS else 1
    return max(1, min(wanted, shards))


def _mask_all(session: Session, todo: list[int], workers: int) -> Iterator[tuple[int, int]]:
    if workers == 1:
        for shard in session.until_stopped(todo):
            yield shard, mask_shard(session, shard)
        return
    context = multiprocessing.get_context("spawn")
    arguments = (session.run.root, session.pipeline, session.tokenizer)
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_open_worker, initargs=arguments
    ) as pool:
        futures = {pool.submit(_mask_in_worker, shard): shard for shard in todo}
        for future in as_completed(futures):
            yield futures[future], future.result()
            if session.stop.requested:
                pool.shutdown(cancel_futures=True)
                return


_WORKER: list[Session] = []


def _open_worker(root: Path, pipeline: Pipeline, tokenizer: TextTokenizer) -> None:
    from dfgen.store.run import Run

    follow_parent()
    # The parent holds the run's lock; a worker only writes the shards that it is given.
    session = Session(Run.open_or_create(root, None), pipeline)
    session.tokenizer = tokenizer
    _WORKER.append(session)


def _mask_in_worker(shard: int) -> int:
    return mask_shard(_WORKER[0], shard)
