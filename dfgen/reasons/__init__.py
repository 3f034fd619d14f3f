"""Explains why rows went no further: every reason code, what it means and what to do about it.

A code stands in the column `reason` of a reject and of an attempt. Tests compare this table with
the codes that the source gives: none is without a row here, no row without a use. `dfgen inspect
RUN --rejects` explains from it what it shows; `schemas/reasons.md` is the table for reading. One
file per part of the way that a row goes.
"""

from __future__ import annotations

from dfgen.reasons import masking, reading, repairing, sampling
from dfgen.reasons.reason import Reason

REASONS: tuple[Reason, ...] = (
    *reading.REASONS,
    *sampling.REASONS,
    *repairing.REASONS,
    *masking.REASONS,
)

_BY_CODE = {reason.code: reason for reason in REASONS}


def find_reason(code: str) -> Reason | None:
    """Look a code up; None for one that this version of dfgen does not give."""
    return _BY_CODE.get(code)


def write_reasons() -> str:
    """Write the table as Markdown, as it stands in `schemas/reasons.md`."""
    lines = [
        "# Reason codes",
        "",
        "Why a row went no further (column `reason` of `rejects/`), or how an attempt at a repair",
        "ended. `dfgen inspect RUN --rejects` explains those of a run. Generated from",
        "`dfgen/reasons/` by `make schemas`.",
        "",
        "| code | stage | what it means | what to do |",
        "|---|---|---|---|",
    ]
    for reason in REASONS:
        stages = ", ".join(reason.stages)
        lines.append(f"| `{reason.code}` | {stages} | {reason.meaning} | {reason.remedy} |")
    return "\n".join(lines) + "\n"


__all__ = ["REASONS", "Reason", "find_reason", "write_reasons"]
