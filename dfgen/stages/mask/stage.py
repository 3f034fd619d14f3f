"""Runs the mask stage: one process per core, a shard at a time.

Masks cost little and can be made again at any time, so there is no journal: a shard's file appears
whole or not at all.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from dfgen.config.pipeline import Pipeline
from dfgen.records import Reject, Repair, Trajectory
from dfgen.stages.session import Session
from dfgen.stages.workers import follow_parent
from dfgen.tokens.tokenizer import TextTokenizer

# Starting a process takes a second; below this it does not pay.
ROWS_WORTH_A_PROCESS = 20_000


def run_masking(session: Session, todo: list[int]) -> None:
    """Make the masks of these shards."""
    trajectories = session.run.table("trajectories")
    rows = {shard: trajectories.num_rows(shard) for shard in trajectories.shards()}
    left = sum(rows[shard] for shard in todo)
    session.run.set_stage("mask", state="running", counts={}, tokenizer=session.tokenizer.sha256)
    session.progress.start("mask", sum(rows.values()), sum(rows.values()) - left)
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
    repairs: dict[str, Repair] = {}
    if run.table("repairs").exists(shard):
        for row in run.table("repairs").iter_rows(shard):
            repair = Repair.model_validate(row)
            repairs[repair.trajectory_id] = repair
    makers: list[MaskMaker] = []
    rejects: list[Reject] = []
    for made in prepare_masks(trajectories, repairs, session.tokenizer, session.pipeline.mask):
        if isinstance(made, Reject):
            rejects.append(made)
        else:
            makers.append(made)
    session.finish_shard("mask", shard, (make() for make in makers), rejects)
    return len(rejects)


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
