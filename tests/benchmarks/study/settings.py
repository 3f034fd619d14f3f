"""Says everything that decides the outcome of a run but its seed; hashed, to find rows again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

LOOP_VERSION = 1
"""Raised when the loop or the measures change so that rows can no longer be compared."""


@dataclass(frozen=True)
class Settings:
    """One cell of the study; runs of it differ by seed.

    Attributes:
        task: chains or steps.
        start: share of right answers of the model to start from, in percent.
        regime: `rounds` (fresh questions, answers and repairs every round) or `offline` (one
            round, several passes).
        arm: by name.
        rate: peak learning rate.
        rounds, questions, copies: questions a round, answers to each.
        passes: over the answers of a round.
        batch_questions: questions whose answers make one step of the optimiser.
        warm_up: steps of the optimiser.
        clip: of the ratio, to both sides.
        repairer: of `repairers.REPAIRERS`.
        verified: a repair counts only if it ends right.
        test_questions: held out, the same for all runs.
        purpose: `study`; `tune` for learning rates: other seeds, other test questions; `explore`
            for arms that were made after results had been seen: others again.
    """

    task: str
    start: str
    regime: str
    arm: str
    rate: float
    rounds: int
    questions: int
    copies: int = 8
    passes: int = 1
    batch_questions: int = 4
    warm_up: int = 5
    clip: float = 0.2
    repairer: str = "perfect"
    verified: bool = True
    test_questions: int = 2000
    purpose: str = "study"

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that change with any setting and with the loop's version."""
        text = json.dumps([LOOP_VERSION, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def change(self, **values: Any) -> Settings:
        """Return settings with other values."""
        return replace(self, **values)

    @property
    def steps(self) -> int:
        """Steps of the optimiser."""
        return self.rounds * self.passes * -(-self.questions // self.batch_questions)


#: 60 steps of 32 answers each, in both regimes.
REGIMES: dict[str, dict[str, Any]] = {
    "rounds": {"rounds": 15, "questions": 16, "passes": 1},
    "offline": {"rounds": 1, "questions": 80, "passes": 3},
}
