"""Reads and writes what the repair stage has on disk: finished rows, journals of open shards.

An answer is journalled twice: when it arrives, because it is paid for, and when it is judged. The
later entry stands in for the earlier one, whichever it is: an answer that is to be judged anew is
journalled once more as it arrived (`dfgen.stages.repair.rejudge`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

from dfgen.config.engine import Price
from dfgen.engines.base import Failure, Result, Usage, as_utf8
from dfgen.records import Attempt, Control, Reject, Repair, Trajectory
from dfgen.stages.repair.compare import Accepted
from dfgen.stages.repair.judge import KEPT, Answerer, Outcome, Pending
from dfgen.stages.repair.plan import History, Purpose
from dfgen.stages.repair.select import need_repair
from dfgen.stages.session import Session

if TYPE_CHECKING:
    import pyarrow as pa

# Nothing in this stage looks at logprobs, and they are half of a row.
_LOOKED_AT = tuple(name for name in Trajectory.model_fields if name != "logprobs")


class Entry(BaseModel):
    """A request as the journal keeps it: an answer that nobody has judged, or an outcome."""

    trajectory_id: str
    purpose: Purpose
    about: str | None = None
    judged: bool = True
    attempt: Attempt
    accepted: Accepted | None = None
    control: Control | None = None


Entries = dict[str, list[dict[str, Any]]]
"""Journal entries of a shard by trajectory, in order."""


Name = tuple[Purpose, int, str | None]
"""Which request about a trajectory: purpose, index, and a hash of the text sent where that is not
the trajectory's own (tests of necessity send their repair with a hunk taken back)."""


class Answer(NamedTuple):
    """An answer that is paid for and not judged."""

    result: Result
    cost_usd: float | None
    by: Answerer


Answered = dict[str, dict[Name, Answer]]
"""Answers that nobody has judged yet, by trajectory and name."""


def read_rows(session: Session, shard: int) -> dict[str, Repair]:
    """Repairs already in the shard's file: there are some when `num_samples` has grown."""
    table = session.run.table("repairs")
    rows = table.iter_rows(shard) if table.exists(shard) else ()
    return {row["trajectory_id"]: Repair.model_validate(row) for row in rows}


def read_rejects(session: Session, shard: int) -> dict[str, Reject]:
    """Refused trajectories already in the shard's ledger."""
    ledger = session.run.rejects("repair")
    rows = ledger.iter_rows(shard) if ledger.exists(shard) else ()
    return {row["row_id"]: Reject.model_validate(row) for row in rows}


def read_controls(session: Session, shard: int, log: Entries) -> dict[str, Control]:
    """Controls of a shard that are done, in its file or its journal."""
    table = session.run.table("controls")
    rows = list(table.iter_rows(shard)) if table.exists(shard) else []
    rows += [e["control"] for entries in log.values() for e in entries if e["control"] is not None]
    return {row["trajectory_id"]: Control.model_validate(row) for row in rows}


def read_trajectories(
    session: Session, shard: int, where: Callable[[pa.RecordBatch], pa.Array] | None = None
) -> Iterator[Trajectory]:
    """Read the trajectories of a shard, in order, without their logprobs.

    Args:
        where: chooses the rows that are wanted, as `ShardTable.iter_rows` takes it.
    """
    for row in session.run.table("trajectories").iter_rows(shard, _LOOKED_AT, where):
        yield Trajectory.model_validate({**row, "logprobs": None})


def read_wrong(session: Session, shard: int) -> Iterator[Trajectory]:
    """Read the trajectories of a shard that need a repair, in order."""
    return read_trajectories(session, shard, need_repair)


def read_named(session: Session, shard: int, keys: Collection[str]) -> Iterator[Trajectory]:
    """Read the trajectories of a shard with these trajectory_ids, in order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(list(keys), pa.string())
    return read_trajectories(
        session, shard, lambda batch: pc.is_in(batch["trajectory_id"], value_set=wanted)
    )


def read_latest(session: Session, shard: int) -> dict[str, dict[Name, dict[str, Any]]]:
    """Read the latest entry of each request of a shard, by trajectory and name, in order."""
    latest: dict[str, dict[Name, dict[str, Any]]] = {}
    for entry in session.journal("repair", shard, Entry).replay():
        entries = latest.setdefault(entry["trajectory_id"], {})
        name = name_entry(entry)
        # An earlier dfgen did not say of which text a test was.
        if (older := (*name[:2], None)) != name and older in entries:
            del entries[older]
        entries.pop(name, None)  # so that the order is that of the latest entries
        entries[name] = entry
    return latest


def read_journal(session: Session, shard: int) -> Entries:
    """Read the judged requests of a shard by trajectory, in order."""
    log = {
        key: [entry for entry in entries.values() if is_judged(entry)]
        for key, entries in read_latest(session, shard).items()
    }
    return {key: entries for key, entries in log.items() if entries}


def read_unjudged(session: Session, shard: int) -> Answered:
    """Read what is paid for and not judged: a start that was killed did not get to it, or it is to
    be judged anew."""
    answers = {
        key: {
            name: _read_answer(key, entry["attempt"])
            for name, entry in entries.items()
            if not is_judged(entry)
        }
        for key, entries in read_latest(session, shard).items()
    }
    return {key: of_one for key, of_one in answers.items() if of_one}


def name_entry(entry: Mapping[str, Any]) -> Name:
    """Name the request that a journal entry is of."""
    return entry["purpose"], int(entry["attempt"]["index"]), entry.get("about")


def _read_answer(key: str, attempt: Mapping[str, Any]) -> Answer:
    failed = attempt["finish_reason"] == "error"
    result = Result(
        key,
        attempt["text"],
        None,
        None,
        attempt["finish_reason"],
        usage=Usage(
            attempt["prompt_tokens"],
            attempt["completion_tokens"],
            cached_tokens=attempt.get("cached_tokens"),
        ),
        failure=Failure(attempt["reason"], attempt["detail"]) if failed else None,
    )
    by = Answerer(attempt.get("model"), attempt.get("lane"), Price())
    return Answer(result, attempt["cost_usd"], by)


def read_history(entries: Sequence[dict[str, Any]]) -> History:
    """Read what the journal says of one wrong trajectory, in the order of the indices."""
    history = History()
    for entry in sorted(entries, key=lambda entry: int(entry["attempt"]["index"])):
        accepted = entry["accepted"]
        history.add(
            entry["purpose"],
            Attempt.model_validate(entry["attempt"]),
            None if accepted is None else Accepted.model_validate(accepted),
        )
    return history


def is_judged(entry: Mapping[str, Any]) -> bool:
    """Say whether a journal entry is an outcome; an answer that has just arrived is none."""
    return bool(entry.get("judged", True))


def to_answer_entry(result: Result, pending: Pending, cost_usd: float | None) -> dict[str, Any]:
    """Write an answer as the journal keeps it unjudged; `attempt` is an `Attempt` to be."""
    failure, by = result.failure, pending.by
    return {
        "trajectory_id": pending.trajectory.trajectory_id,
        "purpose": pending.purpose,
        "judged": False,
        "about": pending.about,
        "attempt": {
            "index": pending.index,
            "accepted": False,
            "reason": "unjudged" if failure is None else failure.reason,
            "detail": "" if failure is None else as_utf8(failure.detail),
            "text": as_utf8(result.text[:KEPT]),
            "finish_reason": result.finish_reason,
            "prompt_tokens": result.usage.prompt_tokens,
            "completion_tokens": result.usage.completion_tokens,
            "cost_usd": cost_usd,
            "seed": pending.seed,
            "cached_tokens": result.usage.cached_tokens,
            "model": None if by is None else by.model,
            "lane": None if by is None else by.lane,
        },
    }


def to_entry(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as the journal keeps it."""
    return {
        "trajectory_id": outcome.trajectory_id,
        "purpose": outcome.purpose,
        "about": outcome.about,
        "attempt": outcome.attempt.model_dump(),
        "accepted": None if outcome.accepted is None else outcome.accepted.model_dump(),
        "control": None if outcome.control is None else outcome.control.model_dump(),
    }
