"""Building verdicts from evidence."""

from __future__ import annotations

from dfgen.grade.extract import Extraction
from dfgen.grade.verdict import Verdict


def make_verdict(
    grader: str, correct: bool, extraction: Extraction, expected: str, detail: str
) -> Verdict:
    """Return the verdict of a built-in grader, whose reward is 1 or 0."""
    return Verdict(
        correct=correct,
        reward=1.0 if correct else 0.0,
        grader=grader,
        extracted=extraction.text,
        expected=expected,
        method=extraction.method,
        detail=detail,
    )


def shorten(text: object, limit: int = 80) -> str:
    """Return `text` on one line, cut to `limit` characters, for a sentence of evidence."""
    line = " ".join(str(text)[: 4 * limit].split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
