"""Takes stock of a shard: what is to be scored in it, and what is on disk already."""

from __future__ import annotations

from dataclasses import dataclass, field

from dfgen.stages.score.planning import LOOKED_AT, STAGE, Plan, Planned, plan_shard
from dfgen.stages.score.rows import BLACK, Reading, ReadingRecord, from_record, recall_readings
from dfgen.stages.session import Session


@dataclass
class OpenShard:
    """A shard in work.

    Attributes:
        plan: what is to be read.
        readings: what is known, by key.
        asking: by key, the trajectories whose completion it is.
        missing: readings asked for and not there yet.
    """

    plan: Plan
    readings: dict[str, Reading] = field(default_factory=dict)
    asking: dict[str, list[Planned]] = field(default_factory=dict)
    missing: int = 0


def take_stock(session: Session, shard: int) -> OpenShard:
    """Read what a shard holds, and what its journal or an older file of scores says of it."""
    run, config = session.run, session.pipeline.score
    rows = run.table("trajectories").iter_rows(shard, LOOKED_AT)
    state = OpenShard(plan_shard(rows, _read_repairs(session, shard), session.tokenizer, config))
    for row in state.plan.rows:
        if isinstance(row, Planned):
            state.asking.setdefault(row.key, []).append(row)
    scores, journal = run.table("scores"), session.journal(STAGE, shard, ReadingRecord)
    written = recall_readings(scores.iter_rows(shard)) if scores.exists(shard) else ()
    for key, reading in (*written, *map(from_record, journal.replay())):
        known = state.readings.get(key)
        # Of ids that are a completion here and a repair there, what says more is kept.
        if key.removesuffix(BLACK) in state.plan.ids and (
            known is None or known.contrast_kl is None
        ):
            state.readings[key] = reading
    return state


def _read_repairs(session: Session, shard: int) -> dict[str, str]:
    table = session.run.table("repairs")
    rows = table.iter_rows(shard, ["trajectory_id", "repair"]) if table.exists(shard) else ()
    return {row["trajectory_id"]: row["repair"] for row in rows}
