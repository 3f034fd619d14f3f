"""Finds which trajectories have requests left, from what is on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from dfgen.config.batch import Lane
from dfgen.config.engine import find_lane
from dfgen.config.repair import RepairConfig
from dfgen.records import Trajectory
from dfgen.stages.ingest import read_shard
from dfgen.stages.lanes import read_out
from dfgen.stages.repair.answered import Place, find_place
from dfgen.stages.repair.plan import CONTROL, Plan, Undecided, plan_next
from dfgen.stages.repair.record import (
    Answered,
    read_controls,
    read_history,
    read_journal,
    read_named,
    read_rejects,
    read_rows,
    read_trajectories,
    read_unjudged,
    read_wrong,
)
from dfgen.stages.repair.select import is_control, select_wrong
from dfgen.stages.session import Session


def iter_undecided(
    session: Session, config: RepairConfig, *, resubmit: bool = False
) -> Iterator[Undecided]:
    """Yield what a start of the stage would still send or wait for, controls included; nothing is
    written.

    Args:
        resubmit: whether it would ask again what is out and nobody will hear of.
    """
    agreed = [find_lane(each) for each in config.repairers] if resubmit else None
    out = _list_out(session, agreed)
    for shard in session.run.table("trajectories").shards():
        plans = _leave_answered_out(
            plan_shard(session, config, shard), read_unjudged(session, shard)
        )
        wanted: dict[str, list[Trajectory]] = {}
        for trajectory in read_named(session, shard, plans) if plans else ():
            wanted.setdefault(trajectory.prompt_id, []).append(trajectory)
        for prompt in read_shard(session, shard) if wanted else ():
            for trajectory in wanted.get(prompt.prompt_id, []):
                key, plan = trajectory.trajectory_id, plans[trajectory.trajectory_id]
                waiting = tuple(i for i in plan.indices if (key, plan.purpose[0], i) in out)
                yield Undecided(trajectory, prompt, plan, waiting)


def plan_shard(session: Session, config: RepairConfig, shard: int) -> dict[str, Plan]:
    """Plan the next requests of a shard, by trajectory_id, of those that are not decided yet.

    Where answers wait to be judged, a plan may be empty: they may be all that is needed.
    """
    log, left = read_journal(session, shard), read_unjudged(session, shard)
    written = read_rows(session, shard).keys() | read_rejects(session, shard).keys()
    plans = {}
    undecided = session.pipeline.grade.undecided
    for key in select_wrong(read_wrong(session, shard), config, undecided).leaders:
        if key not in written:
            plan = plan_next(read_history(log.get(key, [])), config)
            if plan.indices or any(name[0] == "repair" for name in left.get(key, ())):
                plans[key] = plan
    if config.controls:
        known = read_controls(session, shard, log).keys()
        for trajectory in read_trajectories(session, shard):
            if is_control(trajectory, config.controls) and trajectory.trajectory_id not in known:
                plans[trajectory.trajectory_id] = CONTROL
    return plans


def _list_out(session: Session, agreed: Sequence[Lane] | None) -> set[Place]:
    names = (name for file in read_out(session.run, "repair", agreed) for name in file.cells)
    return {place for place in map(find_place, names) if place is not None}


def _leave_answered_out(plans: dict[str, Plan], answers: Answered) -> dict[str, Plan]:
    """The requests of plans that have no answer yet, judged or not."""
    left = {}
    for key, plan in plans.items():
        answered = {name[:2] for name in answers.get(key, ())}
        indices = tuple(i for i in plan.indices if (plan.purpose, i) not in answered)
        if indices:
            left[key] = replace(plan, indices=indices)
    return left
