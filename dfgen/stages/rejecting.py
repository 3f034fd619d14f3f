"""A refused row as a record."""

from __future__ import annotations

from typing import Literal

from dfgen.errors import RowError
from dfgen.records import Reject


def make_reject(
    stage: Literal["prompts", "sample", "repair", "mask"],
    row_id: str,
    prompt_id: str | None,
    error: RowError,
) -> Reject:
    """Turn the error of one row into its entry in the rejects ledger."""
    return Reject.from_error(stage, row_id, prompt_id, error)
