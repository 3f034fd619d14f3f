"""Defines how requests go to a server in files that it works on later, instead of one by one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dfgen.config.section import Section

Lane = Literal["online", "batch", "files"]
"""How requests travel."""

ProviderName = Literal[
    "openai", "together", "groq", "mistral", "litellm", "llm-d", "anthropic", "gemini"
]


class BatchConfig(Section):
    """Files of requests: how large, how many, and whose rules they follow."""

    provider: ProviderName = "openai"
    """Whose batch form the server speaks; sets the limits below, where they are not given."""
    completion_window: str | None = None
    """Time in which a batch is to be done, in the provider's words (24h); unset: its usual one.
    What a batch has not answered by then goes into the next one."""
    max_requests: int | None = Field(default=None, gt=0)
    """Requests of one file at most; unset: the provider's limit."""
    max_bytes: int | None = Field(default=None, gt=0)
    """Bytes of one file at most; unset: the provider's limit. Pictures stand inside."""
    in_flight: int = Field(default=8, gt=0)
    """Batches that the server works on at the same time, at most."""
    priority: int | None = None
    """Sent along where the provider knows one (gemini); others get it as a field `priority`."""
    poll_s: float = Field(default=30.0, gt=0)
    """Seconds between two looks at the batches that are out."""
    settle_s: float = Field(default=30.0, ge=0)
    """Seconds after which a server surely lists what it has taken. Where a process was killed while
    it handed a file over, the next one looks for it until then before it hands it over again."""
