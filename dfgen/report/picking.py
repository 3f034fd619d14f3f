"""Picks the answers that a report shows when it cannot show all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dfgen.store.run import Run

# Of a limit: repairs are what people come for, the rest is there to be compared with.
SHARES = {"repair": 0.7, "outcome": 0.15, "correct": 0.15}


def pick_trajectories(run: Run, limit: int) -> set[str]:
    """Pick at most `limit` trajectories, each source spread evenly over the run.

    The choice depends on the run alone, so that a report made again shows the same rows.
    """
    by_source: dict[str, list[str]] = {source: [] for source in SHARES}
    for row in run.table("masks").iter_rows(columns=["trajectory_id", "mask_source"]):
        by_source[row["mask_source"]].append(row["trajectory_id"])
    sizes = share_out({source: len(ids) for source, ids in by_source.items()}, limit)
    return {name for source, ids in by_source.items() for name in spread(ids, sizes[source])}


def share_out(available: dict[str, int], limit: int) -> dict[str, int]:
    """Return how many of each source: its share of the limit, and what the others leave free."""
    sizes = {name: min(count, int(limit * SHARES[name])) for name, count in available.items()}
    for name, count in available.items():
        free = limit - sum(sizes.values())
        sizes[name] += min(free, count - sizes[name])
    return sizes


def spread(ids: Sequence[str], count: int) -> list[str]:
    """Pick `count` of the ids at even distances."""
    return [ids[number * len(ids) // count] for number in range(count)] if count else []
