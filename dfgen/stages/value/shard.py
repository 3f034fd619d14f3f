"""Takes stock of a shard: which prefixes are drawn on from, and what is on disk already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dfgen.diff.pair import encode_repair
from dfgen.records import Repair
from dfgen.stages.score.planning import hash_ids
from dfgen.stages.value.given import GivenMasks, read_masks
from dfgen.stages.value.planning import LOOKED_AT, STAGE, Plan, Planned, choose_rows, plan_shard
from dfgen.stages.value.rows import DrawRecord, Tally, note_record, recall_tallies

if TYPE_CHECKING:
    from dfgen.config.pipeline import Pipeline
    from dfgen.stages.sample.draws import AnswerKey
    from dfgen.stages.session import Session
    from dfgen.store.manifest import Manifest
    from dfgen.store.run import Run


@dataclass
class OpenShard:
    """A shard in work.

    Attributes:
        plan: what is to be drawn.
        tallies: what is known, by key.
        waiting: by trajectory_id, the keys that are not complete.
        asking: by key, the trajectories that wait for it.
        answers: by prompt_id, what its answers are graded by.
        missing: continuations asked for and not there yet.
    """

    plan: Plan
    tallies: dict[str, Tally]
    waiting: dict[str, set[str]] = field(default_factory=dict)
    asking: dict[str, list[str]] = field(default_factory=dict)
    answers: dict[str, AnswerKey] = field(default_factory=dict)
    missing: int = 0


def choose_trajectories(session: Session) -> set[str]:
    """Choose the trajectory_ids of the run that are looked at."""
    run = session.run
    return choose_rows(
        run.table("trajectories").iter_rows(columns=["trajectory_id", "prompt_id", "reward"]),
        (row["trajectory_id"] for row in run.table("repairs").iter_rows(columns=["trajectory_id"])),
        session.pipeline.value.limit,
        session.pipeline.seed,
    )


def read_given(session: Session, chosen: set[str]) -> GivenMasks:
    """Read the masks of chosen trajectories that the user gave. Raises `InputError`."""
    return read_masks(session.pipeline.value.masks, session.run, chosen)


class Choices:
    """What is looked at of a run, read again only when run.json is another.

    A worker of a shared run asks for every few shards, and to choose is to read the answers of all.
    They are all there when the first is asked; what changes one of them later changes run.json.
    """

    def __init__(self) -> None:
        self._made_for: tuple[Manifest, Pipeline] | None = None
        self._made: tuple[set[str], GivenMasks] = (set(), {})

    def read(self, session: Session) -> tuple[set[str], GivenMasks]:
        """Return the trajectory_ids, and the masks of them that the user gave.

        Raises `InputError` as `read_given` does.
        """
        now = (session.run.manifest, session.pipeline)
        known = self._made_for
        if known is None or known[0] is not now[0] or known[1] is not now[1]:
            chosen = choose_trajectories(session)
            self._made_for, self._made = now, (chosen, read_given(session, chosen))
        return self._made


def take_stock(session: Session, shard: int, chosen: set[str], given: GivenMasks) -> OpenShard:
    """Read what a shard holds, and what its journal or an older file of values says of it.

    Args:
        chosen: trajectory_ids that are looked at.
        given: masks of them that the user gave.
    """
    run, pipeline = session.run, session.pipeline
    rows = [
        row
        for row in run.table("trajectories").iter_rows(shard, LOOKED_AT)
        if row["trajectory_id"] in chosen
    ]
    repairs = _read_repairs(run, shard, chosen)
    plan = plan_shard(
        rows,
        repairs,
        session.tokenizer,
        pipeline.mask,
        pipeline.value,
        pipeline.seed,
        pipeline.value.choose_max_tokens(pipeline.sample.max_tokens),
        given,
    )
    known: dict[str, Tally] = {}
    for key, tally in _recall(session, shard, rows, repairs):
        known.setdefault(key, tally)
    for record in session.journal(STAGE, shard, DrawRecord).replay():
        note_record(known, record)
    state = OpenShard(plan, {key: known.get(key, Tally()) for key in plan.prefixes})
    draws = pipeline.value.draws
    for row in plan.rows:
        if isinstance(row, Planned):
            missing = [k for k in row.keys.values() if not state.tallies[k].is_complete(draws)]
            state.waiting[row.trajectory_id] = set(missing)
            # Asked for in the order of the row: what stands in a batch decides its last digits.
            for key in dict.fromkeys(missing):
                state.asking.setdefault(key, []).append(row.trajectory_id)
    return state


def _recall(
    session: Session, shard: int, rows: list[dict[str, Any]], repairs: dict[str, Repair]
) -> Iterator[tuple[str, Tally]]:
    values = session.run.table("values")
    if not values.exists(shard):
        return
    now = {row["trajectory_id"]: row for row in rows}
    for old in values.iter_rows(shard):
        row = now.get(old["trajectory_id"])
        if row is None or old["temperature"] != np.float32(find_temperature(session)):
            continue
        sides = {"wrong": np.asarray(row["completion_ids"], dtype=np.int32)}
        text = repairs[old["trajectory_id"]].repair
        ids = encode_repair(text, row["completion_ids"], session.tokenizer)
        sides["repair"] = np.asarray(ids, dtype=np.int32)
        then = {"wrong": old["ids_sha256"], "repair": old["repair_ids_sha256"]}
        same = {name: each for name, each in sides.items() if hash_ids(each) == then[name]}
        yield from recall_tallies(old, same, session.pipeline.value.draws)


def find_temperature(session: Session) -> float:
    """Return the temperature at which continuations are drawn."""
    pipeline = session.pipeline
    return pipeline.value.choose_temperature(pipeline.sample.temperature)


def _read_repairs(run: Run, shard: int, chosen: set[str]) -> dict[str, Repair]:
    table = run.table("repairs")
    rows = table.iter_rows(shard) if table.exists(shard) else ()
    return {
        row["trajectory_id"]: Repair.model_validate(row)
        for row in rows
        if row["trajectory_id"] in chosen
    }
