"""Defines section `sample`: how many answers the policy gives, and how they are drawn."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from dfgen.config.section import Section


class Decoding(Section):
    """How tokens are drawn."""

    temperature: float = Field(default=1.0, ge=0)
    """0 is greedy."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus; 1 is off."""
    top_k: int = Field(default=0, ge=0)
    """Only the k most likely tokens; 0 is off."""
    max_tokens: int = Field(default=1024, gt=0)
    """Length limit of one completion."""
    stop: list[str] = Field(default_factory=list)
    """Strings that end a completion."""


class SampleConfig(Decoding):
    """The group: how many completions of each prompt, and how the prompt is put."""

    num_samples: int = Field(default=8, gt=0)
    """Completions per prompt (the group size of GRPO)."""
    stop_early_after: int | None = Field(default=None, gt=0)
    """Draw this many completions of a prompt first, and no more if all of them are right or all
    are wrong: such a group teaches GRPO nothing. The cells that are not drawn are rejects with the
    reason `group_decided`. Unset: draw all."""
    system: str | None = None
    """System message."""
    prompt: str = "{images}{question}{choices}"
    """Template of the user message. Fields: {images} {question} {choices}; {images} marks where the
    pictures stand, {choices} is the list of options on lines of their own, or nothing."""
    chat_template: str | None = None
    """A Jinja chat template instead of the model's own (file name or text)."""
    chat_template_args: dict[str, Any] = Field(default_factory=dict)
    """Passed to the chat template (`enable_thinking: false`)."""
