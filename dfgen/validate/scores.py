"""Checks score rows against their trajectories, by code that had no part in making them."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dfgen.validate.masks import ABOVE_ZERO

if TYPE_CHECKING:
    from dfgen.store.run import Run

Row = dict[str, Any]

_OWN = ("scored_logprobs", "tempered_logprobs", "visual_kl", "visual_log_ratio")
_REPAIR = ("repair_logprobs", "repair_tempered_logprobs")
_TOLERANCE = 1e-6
"""Relative: the column is float32."""


def check_scores(run: Run) -> Iterator[str]:
    """Find every broken promise of every row of the scores, as `trajectory_id: sentence`.

    Shards that are to be made anew are left out.
    """
    table = run.table("scores")
    for shard in table.shards():
        if not run.is_current("score", shard) or not run.table("trajectories").exists(shard):
            continue
        columns = ["trajectory_id", "completion_ids", "logprobs"]
        drawn = {
            row["trajectory_id"]: row for row in run.table("trajectories").iter_rows(shard, columns)
        }
        for score in table.iter_rows(shard):
            row = drawn.get(score["trajectory_id"])
            if row is not None:  # else the keys say so
                for problem in check_score(score, row):
                    yield f"{score['trajectory_id']}: {problem}"


def check_score(score: Row, row: Row) -> Iterator[str]:
    """Find the broken promises of one row.

    Args:
        score: of the table `scores`.
        row: the same trajectory, with `completion_ids` and `logprobs`.
    """
    ids = row["completion_ids"]
    digest = hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest()
    if score["ids_sha256"] != digest:
        yield "its scores are of other token ids than completion_ids."
        return
    repaired = None if score["repair_ids"] is None else len(score["repair_ids"])
    for columns, length in ((_OWN, len(ids)), (_REPAIR, repaired)):
        for column in columns:
            values = score[column]
            if values is None:
                continue
            if len(values) != length:
                yield f"{column} has length {len(values)}, not {length}."
            elif any(value is None or not math.isfinite(value) for value in values):
                yield f"a value of {column} is null or not a finite number."
            elif column.endswith("logprobs") and any(value > ABOVE_ZERO for value in values):
                yield f"a value of {column} is above 0."
    if any(value is not None and value < 0 for value in score["visual_kl"] or ()):
        yield "a value of visual_kl is below 0."
    yield from _check_gap(score, row["logprobs"])


def _check_gap(score: Row, stored: list[float] | None) -> Iterator[str]:
    gap, scored = score["logprob_gap"], score["scored_logprobs"]
    if stored is None or scored is None or len(stored) != len(scored):
        if stored is None and gap is not None:
            yield "logprob_gap is set, but no logprobs are stored."
        return
    found = max((abs(a - b) for a, b in zip(stored, scored, strict=True) if a != b), default=0.0)
    if gap is None or abs(gap - found) > _TOLERANCE * max(1.0, found):
        yield f"logprob_gap is {gap}, but the largest difference is {found:g}."
