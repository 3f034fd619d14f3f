"""Lists the requests of a run that are out in batches or files, and since when."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dfgen.stages.lanes import read_out

if TYPE_CHECKING:
    from dfgen.store.layout import Stage
    from dfgen.store.run import Run

STAGES_WITH_LANES: tuple[Stage, ...] = ("sample", "repair")
"""Stages that may wait for answers."""


@dataclass(frozen=True, slots=True)
class OutStatus:
    """A file of requests that is out.

    Attributes:
        stage: whose requests they are.
        lane: batch or files.
        requests: in it, those that are answered left out.
        since: ISO 8601, UTC.
        batch: the provider's name of the batch; None: it was being handed over.
    """

    stage: str
    lane: str
    requests: int
    since: str
    batch: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain data."""
        return asdict(self)


def list_out_status(run: Run) -> list[OutStatus]:
    """List files in the order in which they were handed over. Raises `StorageError`."""
    return [
        OutStatus(stage, out.lane, len(out.cells), out.since, out.batch_id)
        for stage in STAGES_WITH_LANES
        for out in read_out(run, stage)
    ]
