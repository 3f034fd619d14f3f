"""Sums up, for the manifest and for people, how far scores are from the stored logprobs."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfgen.store.run import Run


def summarise_gaps(run: Run) -> dict[str, Any]:
    """Return the largest difference of any token, of which answer, and the median answer's.

    Returns:
        `compared`: answers that have logprobs of their own; `largest`, `median`: nats, of the
        largest difference within each of them; `at`: trajectory_id of the largest. None where
        nothing was stored to compare with.
    """
    gaps = [
        (row["logprob_gap"], row["trajectory_id"])
        for row in run.table("scores").iter_rows(columns=["trajectory_id", "logprob_gap"])
        if row["logprob_gap"] is not None
    ]
    largest = max(gaps, default=(None, None))
    return {
        "compared": len(gaps),
        "largest": largest[0],
        "at": largest[1],
        "median": statistics.median(gap for gap, _ in gaps) if gaps else None,
    }
