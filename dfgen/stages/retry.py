"""Truncated samples drawn again with a larger limit: which ones, and what their rows keep of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from dfgen.records import Reject, Trajectory

LIMIT = "retried_up_to"
"""In a row's metadata: the largest `max_tokens` that it was drawn or refused with."""
EARLIER = "earlier_draws"
"""In a row's metadata: the draws that this one replaced, oldest first."""


def select_truncated(rows: Iterable[Trajectory], limit: int) -> list[Trajectory]:
    """Rows that were cut off and have not been drawn with this limit yet."""
    return [
        row
        for row in rows
        if row.finish_reason == "length"
        and len(row.completion_ids) < limit
        and json.loads(row.metadata).get(LIMIT, 0) < limit
    ]


def replace_draw(old: Trajectory, new: Trajectory | Reject, limit: int) -> Trajectory:
    """The row that stands where `old` stood.

    A new draw replaces the old one, whose facts stay in the metadata. If there is none (the longer
    completion does not fit into the model's context), the old row stays and says so.
    """
    metadata = json.loads(old.metadata)
    metadata[LIMIT] = limit
    if isinstance(new, Reject):
        metadata["retry_refused"] = {"reason": new.reason, "detail": new.detail}
        return old.model_copy(update={"metadata": _dump(metadata)})
    earlier = {
        "completion_tokens": len(old.completion_ids),
        "finish_reason": old.finish_reason,
        "reward": old.reward,
        # The seed is the same, so the new draw is the old one continued, as far as the engine's
        # arithmetic repeats itself.
        "continued": new.completion_ids[: len(old.completion_ids)] == old.completion_ids,
    }
    metadata[EARLIER] = [*metadata.get(EARLIER, []), earlier]
    metadata.pop("retry_refused", None)
    return new.model_copy(update={"metadata": _dump(metadata)})


def _dump(metadata: dict[str, Any]) -> str:
    return json.dumps(metadata, ensure_ascii=False, sort_keys=True)
