"""Says what a reason is, and which stages may give one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One code.

    Attributes:
        code: as it stands in the files; never renamed.
        stages: that give it. `repair` gives it to a wrong answer, or to one attempt at it.
        meaning: what happened, in one sentence.
        remedy: what a user can do about it, in one sentence.
    """

    code: str
    stages: tuple[str, ...]
    meaning: str
    remedy: str


PROMPTS, SAMPLE, REPAIR, MASK = ("prompts",), ("sample",), ("repair",), ("mask",)
SCORE, VALUE = ("score",), ("value",)
SERVERS = (*SAMPLE, *REPAIR)
"""The stages that ask a model which may be behind a server."""
ENGINES = (*SERVERS, *SCORE, *VALUE)
"""The stages that ask a model, whose failures are the same in all."""
NOTHING = "Nothing: this is no fault, and the row counts as it stands."
REPORT = "Report it with the row's id: this must not happen."
WIDEN = "Nothing, or, to accept such repairs,"
FEEDBACK = "Nothing: the next attempt is told so (`repair.max_attempts`)."
