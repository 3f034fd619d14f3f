"""Compares logprobs scored anew with those stored when the answers were drawn.

If both agree, policy, processor, chat template, pictures and ids fit together; there is no cheaper
proof. Where they do not, everything computed from the scores would be about another model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FIRST_LOOK = 32
"""Answers before which nothing is concluded, while more are to come."""

FEW = 2
"""Tokens that may differ however few there are."""

EXACT, HALF = 0.01, 0.1
"""Largest difference of a token in nats, computed in float32 and in half precision (`max_gap`).

Measured on 15,684 tokens of the demo's policy, drawn and scored in other batches. float32: 7e-6 at
most, through vLLM 1e-5. bfloat16, for drawing, scoring or both: .24 at most, and at most 3 tokens
of 10,000 by more than .1. Another system prompt moves 12 % of the tokens by more than .01 and 2.3 %
by more than .1; black pictures 13 and 6.5 %; noise of 3 % on the weights 9 and .7 %, of which half
precision thus sees nothing."""


def choose_limit(max_gap: float | None, dtype: str | None) -> float:
    """Return the nats by which a token may differ: the setting, or what the dtype makes likely."""
    if max_gap is not None:
        return max_gap
    return EXACT if dtype in ("float32", "float64") else HALF


def measure_gaps(stored: NDArray[np.float32], scored: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return float32[T]: by how many nats each token's logprobs differ; inf where one is no number.

    Raises:
        ValueError: they have different lengths.
    """
    if stored.shape != scored.shape:
        raise ValueError(f"{len(stored)} stored logprobs and {len(scored)} scored ones")
    with np.errstate(invalid="ignore"):
        gaps = np.abs(stored - scored)
    # Minus infinity on both sides is no difference.
    gaps = np.where(stored == scored, np.float32(0), gaps)
    return np.where(np.isnan(gaps), np.float32(np.inf), gaps).astype(np.float32)


@dataclass
class GapWatch:
    """Watches how far scores are from what is stored.

    Attributes:
        limit: nats by which a token may differ.
        share: of the tokens that may differ by more.
        rows, tokens, beyond: answers compared, their tokens, and those that differ by more.
        largest: difference of a token, and of which answer.
        tempered_beyond: tokens that differ by more from the tempered logprobs; None where there are
            none to compare with.
    """

    limit: float
    share: float
    rows: int = 0
    tokens: int = 0
    beyond: int = 0
    largest: tuple[float, str] = (0.0, "")
    tempered_beyond: int | None = None
    _total: float = field(default=0.0, repr=False)

    def add(
        self,
        trajectory_id: str,
        stored: NDArray[np.float32],
        scored: NDArray[np.float32],
        tempered: NDArray[np.float32] | None = None,
    ) -> None:
        """Take in one answer: float32[T] each."""
        gaps = measure_gaps(stored, scored)
        self.rows += 1
        self.tokens += len(gaps)
        self.beyond += int((gaps > self.limit).sum())
        self._total += float(gaps.sum(dtype=np.float64))
        if len(gaps):
            self.largest = max(self.largest, (float(gaps.max()), trajectory_id))
        if tempered is not None:
            others = measure_gaps(stored, tempered)
            self.tempered_beyond = (self.tempered_beyond or 0) + int((others > self.limit).sum())

    @property
    def mean(self) -> float:
        """Nats by which a token differs on average."""
        return self._total / self.tokens if self.tokens else 0.0

    def is_time_to_look(self) -> bool:
        """Say whether enough answers were compared to conclude something."""
        return self.rows >= FIRST_LOOK

    def is_too_far(self) -> bool:
        """Say whether more tokens differ by more than is allowed."""
        return self.beyond > max(FEW, self.share * self.tokens)

    def explain(self, then: Mapping[str, object], now: Mapping[str, object]) -> tuple[str, str]:
        """Say what was found, and what to look at.

        Args:
            then, now: engine, model, revision, dtype, ... with which the answers were drawn and are
                scored.
        """
        found = (
            f"the scores are not those of the policy that drew the answers: {self.beyond:,} of "
            f"{self.tokens:,} tokens in the first {self.rows:,} answers ({self._share:.1%}) differ "
            f"by more than {self.limit:g} from the stored logprobs, on average by {self.mean:.2g} "
            f"and most by {self.largest[0]:.3g} (in {self.largest[1]})."
        )
        changed = [
            f"{name} was {then[name]} and is {now.get(name)}"
            for name in then
            if then[name] != now.get(name)
        ]
        hints = [f"Known to differ: {'; '.join(changed)}."] if changed else []
        allowed = max(FEW, self.share * self.tokens)
        if self.tempered_beyond is not None and self.tempered_beyond <= allowed:
            hints.append(
                "The stored logprobs are those after temperature: set the server to raw ones "
                "(`logprobs_mode: raw_logprobs`) and draw again, or raise score.max_gap_share."
            )
        hints.append(
            "Look at, in this order: another checkpoint, revision or LoRA adapter than sampled; "
            "another chat template or system prompt; another processor (its pixel budget); ids of "
            "another tokenizer; another dtype or quantisation (then raise score.max_gap); a "
            "temperature in the stored logprobs. Nothing of this was kept."
        )
        return found, " ".join(hints)

    @property
    def _share(self) -> float:
        return self.beyond / self.tokens if self.tokens else 0.0
