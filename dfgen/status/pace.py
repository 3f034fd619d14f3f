"""Says how fast a stage goes that several processes work on, and how long it takes at that pace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dfgen.status.stages import StageStatus
from dfgen.status.worker import Worker


@dataclass(frozen=True, slots=True)
class Pace:
    """How a stage goes.

    Attributes:
        running: shards that somebody has claimed.
        rows_per_s: of all who work on it; None if nobody knows yet.
        seconds_left: until it is done at that pace; None if nobody knows.
    """

    running: int
    rows_per_s: float | None
    seconds_left: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain data."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def measure_pace(stage: StageStatus, workers: Sequence[Worker]) -> Pace:
    """Add up what the living workers of a stage do.

    Who works alone knows best how much is left; of several each knows only its own share.
    """
    living = [worker for worker in workers if worker.alive is not False]
    running = sum(
        claim.shard is not None and claim.shard[0] == stage.stage
        for worker in living
        for claim in worker.claims
    )
    if stage.state == "done":
        return Pace(running, None, None)
    doing = [each.activity for each in living if each.activity is not None]
    doing = [activity for activity in doing if activity.stage == stage.stage]
    rates = [each.rows_per_s for each in doing if each.rows_per_s is not None]
    rate = sum(rates) if rates else None
    if len(doing) == 1 and not running:
        return Pace(running, rate, doing[0].seconds_left)
    left = max(0, stage.pending - stage.journalled)
    return Pace(running, rate, left / rate if rate else None)
