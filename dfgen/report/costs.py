"""Adds up what repairing has cost, request by request: by model, by lane, by what came of it.

Everything that was paid for counts: refused answers, tests, controls, what was set aside to be made
anew, and what a batch brought when nobody asked for it any more. Totals are the sums of rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dfgen.stages.lanes import iter_strays
from dfgen.stages.repair.spending import (
    RepairFiles,
    explain_history,
    iter_journalled,
    list_shards,
)
from dfgen.store.redoing import list_history

if TYPE_CHECKING:
    from dfgen.store.run import Run

MOST_STRETCHES = 40
"""Of shards, in the course of a run's costs."""
UNKNOWN = "not recorded"
"""Model or lane of a request that an earlier dfgen kept."""
UNCLAIMED = "nobody asked any more"
"""Of an answer that a batch brought when its request had been decided otherwise."""
_SUMMED = ("prompt_tokens", "cached_tokens", "completion_tokens", "cost_usd")


@dataclass
class Sums:
    """Requests added up.

    Attributes:
        prompt_tokens, cached_tokens, completion_tokens, cost_usd: of those where they are known;
            None where nobody knows them of any.
        unknown: requests whose cost nobody knows.
        accepted: attempts that were.
    """

    requests: int = 0
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    unknown: int = 0
    accepted: int = 0

    def add(self, request: Mapping[str, Any]) -> None:
        """Count a request: an attempt, or an answer that nobody asked for any more."""
        self.requests += 1
        for name in _SUMMED:
            if (value := request.get(name)) is not None:
                setattr(self, name, (getattr(self, name) or 0) + value)
        self.unknown += request["cost_usd"] is None
        self.accepted += bool(request.get("accepted"))


def measure_costs(run: Run) -> dict[str, Any]:
    """Measure what the repairs of a run have cost.

    Returns:
        total: of all requests; `by_model`, `by_lane`, `by_reason` split it.
        cost_usd_per_accepted: of each accepted repair, copies included; None without any, or
            where nobody knows what anything has cost.
        gradient_tokens: that repairs give a trainer: masked tokens of failed answers, and the new
            tokens of their repairs; None before the mask stage.
        cost_usd_per_gradient_token: None without any.

    Raises:
        StorageError: a file cannot be read.
    """
    total = Sums()
    split: dict[str, dict[str, Sums]] = {"model": {}, "lane": {}, "reason": {}}
    for request in iter_requests(run):
        total.add(request)
        for name, sums in split.items():
            sums.setdefault(request.get(name) or UNKNOWN, Sums()).add(request)
    accepted = sum(map(run.table("repairs").num_rows, run.table("repairs").shards()))
    tokens = count_gradient_tokens(run)
    return {
        "total": asdict(total),
        **{
            f"by_{name}": {
                key: asdict(each)
                for key, each in sorted(sums.items(), key=lambda item: -(item[1].cost_usd or 0))
            }
            for name, sums in split.items()
        },
        "accepted": accepted,
        "cost_usd_per_accepted": _divide(total.cost_usd, accepted),
        "gradient_tokens": tokens,
        "cost_usd_per_gradient_token": _divide(total.cost_usd, tokens),
    }


def _divide(cost_usd: float | None, count: int | None) -> float | None:
    return None if cost_usd is None or not count else cost_usd / count


def iter_requests(run: Run) -> Iterator[Mapping[str, Any]]:
    """Yield every request that was paid for, each once."""
    yield from _iter_files(RepairFiles(run.root, run.passed_over))
    for root in list_history(run):
        with explain_history(root):
            yield from list(_iter_files(RepairFiles(root, run.passed_over)))
    for stray in iter_strays(run, "repair"):
        yield {**stray, "reason": stray["reason"] or UNCLAIMED}


def measure_course(run: Run) -> list[dict[str, Any]]:
    """Measure what requests cost along the run, in stretches of consecutive shards.

    Requests carry no times. Shards are taken in order, so theirs is the order of the work, about;
    what was set aside, and answers that nobody asked for any more, have no place in it.

    Returns:
        At most `MOST_STRETCHES` of `first` and `last` shard, and `Sums`.
    """
    files = RepairFiles(run.root, run.passed_over)
    shards = sorted(list_shards(files))
    size = -(-len(shards) // MOST_STRETCHES)
    course = []
    for start in range(0, len(shards), max(1, size)):
        stretch, sums = shards[start : start + size], Sums()
        for request in _iter_files(files, stretch):
            sums.add(request)
        course.append({"first": stretch[0], "last": stretch[-1], **asdict(sums)})
    return course


def _iter_files(
    files: RepairFiles, shards: Iterable[int] | None = None
) -> Iterator[Mapping[str, Any]]:
    repairs, rejects, controls = files.tables
    for shard in list_shards(files) if shards is None else shards:
        if repairs.exists(shard):
            for row in repairs.iter_rows(shard, ["attempts", "necessity"]):
                yield from row["attempts"]
                tests = (entry["attempt"] for entry in row["necessity"] or ())
                yield from (attempt for attempt in tests if attempt is not None)
        if rejects.exists(shard):
            for row in rejects.iter_rows(shard, ["evidence"]):
                yield from json.loads(row["evidence"]).get("attempts", ())
        if controls.exists(shard):
            for row in controls.iter_rows(shard, ["attempt"]):
                yield row["attempt"]
        yield from iter_journalled(files, shard)


def count_gradient_tokens(run: Run) -> int | None:
    """Count tokens that carry gradient because of a repair; None before there are masks."""
    table = run.table("masks")
    if not table.shards():
        return None
    tokens = 0
    for row in table.iter_rows(columns=["mask_source", "loss_mask", "repair_mask"]):
        if row["mask_source"] == "repair":
            tokens += sum(row["loss_mask"]) + sum(row["repair_mask"] or ())
    return tokens
