"""Defines section `score`: what the policy itself is asked about answers and repairs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dfgen.config.engine import EngineConfig
from dfgen.config.section import Section


class ScoreConfig(Section):
    """Teacher-forced logprobs of answers and repairs under the policy that drew the answers."""

    enabled: bool = False
    """Whether `dfgen run` scores, between repair and mask. `dfgen score RUN` does so in any
    case."""
    engine: EngineConfig | None = None
    """The same policy once more, where `policy` cannot score: it is behind a server, or the answers
    were imported. Unset: `policy` itself."""
    completions: Literal["all", "repaired"] = "all"
    """all: every answer; repaired: only answers with a repair. The second is enough where answers
    were drawn at temperature 1 and have logprobs."""
    tempered: bool = True
    """Where answers were drawn at another temperature than 1: score under softmax(logits /
    temperature), too, which is what trainers compute. transformers can; with vLLM set false."""
    visual: bool = False
    """Score answers once more with every picture black, to learn how much each token depends on
    them (after VPPO, arXiv 2510.09285). Doubles the work on answers."""
    max_gap: float | None = Field(default=None, gt=0)
    """Nats by which a token's logprob may differ from the stored one. Unset: .01 where the model
    computes in float32, .1 where in half precision."""
    max_gap_share: float = Field(default=0.01, ge=0, le=1)
    """Share of tokens that may differ by more; above it the stage stops early and says what to
    look at."""
