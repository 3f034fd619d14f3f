"""Checks the numbers of trajectories, by code that had no part in keeping them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dfgen.validate.masks import ABOVE_ZERO

if TYPE_CHECKING:
    from dfgen.store.run import Run

_LOOKED_AT = ("trajectory_id", "completion_ids", "logprobs", "prompt_tokens", "image_tokens")


def check_trajectories(run: Run) -> Iterator[str]:
    """Find every row with a number that cannot be, as `trajectory_id: sentence`."""
    table = run.table("trajectories")
    for shard in table.shards():
        for row in table.iter_rows(shard, _LOOKED_AT):
            for problem in check_numbers(row):
                yield f"{row['trajectory_id']}: {problem}"


def check_numbers(row: dict[str, Any]) -> Iterator[str]:
    """Find what is wrong with the numbers of one row."""
    ids, logprobs = row["completion_ids"], row["logprobs"]
    if any(token < 0 for token in ids):
        yield "a token id is below 0."
    if logprobs is not None:
        if len(logprobs) != len(ids):
            yield f"logprobs has length {len(logprobs)}, not {len(ids)}."
        if any(value is None or not math.isfinite(value) for value in logprobs):
            yield "a value of logprobs is null or not a finite number."
        elif any(value > ABOVE_ZERO for value in logprobs):
            yield "a value of logprobs is above 0."
    for name in ("prompt_tokens", "image_tokens"):
        if row[name] is not None and row[name] < 0:
            yield f"{name} is below 0."
