"""Says who works on a run, on which shards, since when, and how fast."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dfgen.store.activity import Activity, parse_activity, read_activity
from dfgen.store.claims import Claim, iter_claims
from dfgen.store.crew import Crew, Member
from dfgen.store.layout import LOCK, SHARED
from dfgen.store.lock import STALE_S, Holder, is_dead, parse_holder
from dfgen.store.shared_files import PosixFiles, SharedFiles


@dataclass(frozen=True, slots=True)
class Worker:
    """One process that has claimed a run.

    Attributes:
        holder: pid, host, since when, command.
        age_s: seconds since its last sign of life.
        alive: False: certainly dead; None: on another machine, and silent for long.
        activity: what it does; None if it has not said so.
        claims: the shards that it has, where several share the run.
    """

    holder: Holder
    age_s: float
    alive: bool | None
    activity: Activity | None
    claims: tuple[Claim, ...] = ()

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
            "shards": [
                {"stage": each.shard[0], "shard": each.shard[1], "since": each.since}
                for each in self.claims
                if each.shard is not None
            ],
        }


def find_workers(root: Path) -> list[Worker]:
    """Find the processes that have claimed a run or share it, living and dead."""
    return [*_find_holder(root), *find_members(root)]


def find_members(root: Path, files: SharedFiles | None = None) -> list[Worker]:
    """Find the processes that share a run, with the shards that each has, by host and pid.

    Args:
        files: the run's shared files; by default those in its directory.

    Raises:
        StorageError: they cannot be read.
    """
    if files is None and not (root / SHARED).is_dir():
        return []
    files = files or PosixFiles(root / SHARED)
    claims: dict[str, list[Claim]] = {}
    for claim in iter_claims(files):
        claims.setdefault(claim.token, []).append(claim)
    members = sorted(Crew(files, root).iter_members(), key=lambda m: (m.holder.host, m.holder.pid))
    return [_describe_member(member, claims.get(member.token, [])) for member in members]


def _describe_member(member: Member, claims: list[Claim]) -> Worker:
    """How a worker stands, by the clock of its own machine: only for people."""
    age = 0.0
    with suppress(ValueError, OverflowError):  # a clock, or a hand, may have written anything
        age = max(0.0, time.time() - datetime.fromisoformat(member.at).timestamp())
    alive = False if is_dead(member.holder, age) else (None if age > 2 * member.lease_s else True)
    activity = parse_activity(member.activity, member.token)
    shards = tuple(claim for claim in claims if claim.shard is not None)
    return Worker(member.holder, age, alive, activity, shards)


def _find_holder(root: Path) -> list[Worker]:
    path = root / LOCK
    try:
        holder = parse_holder(path.read_bytes())
        age = max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return []
    if holder is None:
        return []
    dead = is_dead(holder, age)
    alive = False if dead else (None if age > STALE_S else True)
    return [Worker(holder, age, alive, read_activity(root, holder.token))]
