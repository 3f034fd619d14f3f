"""A refused row as a record."""

from __future__ import annotations

import json
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
    return Reject(
        stage=stage,
        row_id=row_id,
        prompt_id=prompt_id,
        reason=error.reason,
        detail=error.detail,
        evidence=json.dumps(error.evidence, ensure_ascii=False, sort_keys=True, default=str),
    )
