"""Says who works on a run, since when, on which shards, and how fast."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dfgen.store.activity import Activity, parse_activity, read_activity
from dfgen.store.layout import LOCK
from dfgen.store.lock import STALE_S, Holder, is_dead, parse_holder
from dfgen.store.shared.claims import Claim, iter_claims
from dfgen.store.shared.crew import Crew, Member
from dfgen.store.shared.folder import find_shared_files


@dataclass(frozen=True, slots=True)
class Worker:
    """One process that has claimed a run.

    Attributes:
        holder: pid, host, since when, command.
        age_s: seconds since its last sign of life.
        alive: False: certainly dead; None: on another machine, and silent for long.
        activity: what it does; None if it has not said so.
        claims: the shards, and whatever else only one may do at a time, that it has for itself;
            none of a process that has the whole run.
        dfgen: its version; None: it has not said so.
    """

    holder: Holder
    age_s: float
    alive: bool | None
    activity: Activity | None
    claims: tuple[Claim, ...] = ()
    dfgen: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain data."""
        now = self.activity
        return {
            "pid": self.holder.pid,
            "host": self.holder.host,
            "since": self.holder.since,
            "command": self.holder.command,
            "seconds_since_sign_of_life": round(self.age_s, 1),
            "alive": self.alive,
            "stage": now.stage if now else None,
            "doing": (now.doing or None) if now else None,
            "rows": now.rows if now else None,
            "rows_before": now.before if now else None,
            "rows_total": now.total if now else None,
            "accepted": now.accepted if now else None,
            "rejected": now.rejected if now else None,
            "rows_per_s": now.rows_per_s if now else None,
            "seconds_left": now.seconds_left if now else None,
            "dfgen": self.dfgen,
            "shards": [
                {"stage": stage, "shard": shard, "since": claim.since}
                for claim in self.claims
                if claim.shard is not None
                for stage, shard in [claim.shard]
            ],
        }


@dataclass
class Sightings:
    """What somebody who looks again and again has seen of workers, by a clock of his own.

    Attributes:
        seen: by token, the last sign of life that was counted, and when it was first seen.
    """

    seen: dict[str, tuple[int, float]] = field(default_factory=dict)

    def measure_age(self, member: Member) -> float | None:
        """Measure the seconds since a worker's last sign of life; None if none was seen to come."""
        now = time.monotonic()
        beat, since = self.seen.get(member.token, (member.beat, 0.0))
        if beat != member.beat:
            since = now
        self.seen[member.token] = (member.beat, since)
        return now - since if since else None


def find_workers(root: Path, sightings: Sightings | None = None) -> list[Worker]:
    """Find the processes that work on a run, living and dead: one that has all of it, or several.

    Args:
        root: the run directory.
        sightings: of earlier looks; None: this is the only one.

    Raises:
        StorageError: what they have written cannot be read.
    """
    return [*_find_holder(root), *_find_members(root, sightings or Sightings())]


def _find_holder(root: Path) -> Iterator[Worker]:
    path = root / LOCK
    try:
        holder = parse_holder(path.read_bytes())
        age = max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return
    if holder is None:
        return
    yield Worker(holder, age, _lives(holder, age, STALE_S), read_activity(root, holder.token))


def _find_members(root: Path, sightings: Sightings) -> Iterator[Worker]:
    files = find_shared_files(root)
    if files is None:
        return
    claims: dict[str, list[Claim]] = {}
    for claim in iter_claims(files):
        claims.setdefault(claim.token, []).append(claim)
    for member in Crew(files, root).iter_members():
        age = sightings.measure_age(member)
        if age is None:
            age = _measure_age(member.at)
        yield Worker(
            member.holder,
            age,
            _lives(member.holder, age, member.lease_s),
            parse_activity(member.activity, member.token),
            tuple(claims.get(member.token, ())),
            member.dfgen,
        )


def _lives(holder: Holder, age: float, silent_s: float) -> bool | None:
    """Whether a process lives; None: it is on another machine, and silent for so long."""
    if is_dead(holder, age):
        return False
    return None if age > silent_s else True


def _measure_age(at: str) -> float:
    """Seconds since a time that another machine's clock has told."""
    try:
        then = datetime.fromisoformat(at)
        then = then if then.tzinfo else then.replace(tzinfo=UTC)
        return max(0.0, (datetime.now(UTC) - then).total_seconds())
    except (ValueError, OverflowError):  # a clock, or a hand, may have written anything
        return 0.0
