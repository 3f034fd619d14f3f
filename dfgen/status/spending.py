"""Says what the repairs of a run have cost, beside the limits that it was given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dfgen.stages.repair.spending import SpentCount

if TYPE_CHECKING:
    from dfgen.store.run import Run


@dataclass
class Spending:
    """Requests to the repairer and dollars so far, and the limits that the run was given."""

    requests: int = 0
    cost_usd: float = 0.0
    unknown: int = 0
    """Requests among these whose cost nobody knows."""
    max_requests: int | None = None
    max_cost_usd: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain data."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def measure_spending(run: Run) -> Spending:
    """Measure what is on record: of repairs, refused answers, controls, and open shards' journals.

    What was set aside to be made anew counts, too, as it does towards the limits.

    Raises:
        StorageError: a file cannot be read.
    """
    limits = run.manifest.pipeline.get("repair") or {}
    spent = SpentCount().count(run)
    return Spending(
        spent.requests,
        spent.cost_usd,
        spent.unknown,
        limits.get("max_requests"),
        limits.get("max_cost_usd"),
    )
