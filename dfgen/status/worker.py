"""Says who works on a run, since when, and how fast."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfgen.store.activity import Activity, read_activity
from dfgen.store.layout import LOCK
from dfgen.store.lock import STALE_S, Holder, is_dead, parse_holder


@dataclass(frozen=True, slots=True)
class Worker:
    """One process that has claimed a run.

    Attributes:
        holder: pid, host, since when, command.
        age_s: seconds since its last sign of life.
        alive: False: certainly dead; None: on another machine, and silent for long.
        activity: what it does; None if it has not said so.
    """

    holder: Holder
    age_s: float
    alive: bool | None
    activity: Activity | None

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
        }


def find_workers(root: Path) -> list[Worker]:
    """Find the processes that have claimed a run, living and dead. Today at most one may."""
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
