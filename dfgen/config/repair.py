"""How wrong trajectories are repaired and what counts as a repair."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from dfgen.config.engine import EngineConfig
from dfgen.config.sample import Decoding
from dfgen.config.section import Section


class RepairConfig(Section):
    """The repairer, its prompt, and the checks a repair must pass."""

    engine: EngineConfig | None = None
    """Who repairs; unset: the repair stage is left out and wrong trajectories stay `outcome`."""
    protocol: Literal["rewrite"] = "rewrite"
    """rewrite: the repairer returns the whole corrected text."""
    answer: Literal["given", "blind"] = "given"
    """Whether the repairer is shown the reference answer."""
    show_solution: bool = False
    """Show the reference solution too, where the prompt has one."""
    system: str | None = None
    """System message; unset: none."""
    prompt: str | None = None
    """Template of the user message, text or `file:PATH`; unset: the one that comes with dfgen.
    Fields: {images} {question} {choices} {completion}; {reference}, the lines that state the
    reference answer and solution, empty when `answer` is blind; {feedback}, why the attempt before
    was refused, empty in the first."""
    decoding: Decoding = Decoding(temperature=0.0, max_tokens=2048)
    retry_temperature: float = Field(default=0.7, ge=0)
    """Temperature of further attempts; a greedy second attempt would repeat the first."""
    max_attempts: int = Field(default=2, gt=0)
    """Attempts per trajectory; a further one is told what failed."""
    max_edit_ratio: float = Field(default=0.5, gt=0, le=1)
    """Largest share of tokens that may change: edit distance / longer of both texts."""
    max_step_ratio: float = Field(default=1.0, gt=0, le=1)
    """Largest share of steps that may change."""
    chat_template_args: dict[str, Any] = Field(default_factory=dict)
    """Passed to the chat template (`enable_thinking: false`)."""
