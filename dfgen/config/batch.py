"""Defines how requests go to a server in files that it works on later, instead of one by one."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from dfgen.config.section import Section

Lane = Literal["online", "batch", "files"]
"""How requests travel."""

ProviderName = Literal[
    "openai", "together", "groq", "mistral", "litellm", "llm-d", "anthropic", "gemini"
]


_WITH_PRIORITY: tuple[ProviderName, ...] = ("gemini", "together")
"""Providers whose documents know a priority of a batch."""
_WITHOUT_WINDOW: tuple[ProviderName, ...] = ("anthropic", "gemini")
"""Providers whose batches are given a time that nobody can choose."""


class BatchConfig(Section):
    """Files of requests: how large, how many, and whose rules they follow."""

    provider: ProviderName = "openai"
    """Whose batch form the server speaks; sets the limits below, where they are not given."""
    completion_window: str | None = None
    """Time in which a batch is to be done, in the provider's words (24h); unset: its usual one.
    What a batch has not answered by then goes into the next one. anthropic and gemini let nobody
    choose it, and refuse this; mistral wants hours."""
    max_requests: int | None = Field(default=None, gt=0)
    """Requests of one file at most; unset: the provider's limit."""
    max_bytes: int | None = Field(default=None, gt=0)
    """Bytes of one file at most; unset: the provider's limit."""
    pictures: Literal["inside"] = "inside"
    """Where pictures stand: inside the files, as base64. That is the only way. The chat form of
    OpenAI, which Together, Groq, Mistral, LiteLLM, llm-d and `vllm run-batch` have taken over,
    takes a picture as an address or as data, never as the id of a file. Gemini takes ids, but keeps
    such files for 48 hours, and Anthropic's are a beta: a row that goes out again after a batch has
    expired would have lost its picture."""
    in_flight: int = Field(default=8, gt=0)
    """Batches that the server works on at the same time, at most."""
    priority: int | None = None
    """Which batches are worked on first. gemini (the larger number first) and together know one;
    of any other provider it is refused."""
    poll_s: float = Field(default=30.0, gt=0)
    """Seconds between two looks at the batches that are out."""
    settle_s: float = Field(default=30.0, ge=0)
    """Seconds after which a server surely lists what it has taken. Where a process was killed while
    it handed a file over, the next one looks for it until then before it hands it over again."""

    @field_validator("pictures", mode="before")
    @classmethod
    def _refuse_ids(cls, value: Any) -> Any:
        if value != "inside":
            raise ValueError(
                "pictures stand inside files of requests: by id most providers do not take them, "
                "and those that do forget them before a row can go out again. Leave it out"
            )
        return value

    @model_validator(mode="after")
    def _refuse_unknown(self) -> Self:
        """Refuse what a provider would ignore, or not take."""
        window, provider = self.completion_window, self.provider
        if self.priority is not None and provider not in _WITH_PRIORITY:
            raise ValueError(
                f"{provider} knows no priority of batches ({' and '.join(_WITH_PRIORITY)} do). "
                "Leave priority out"
            )
        if window is not None and provider in _WITHOUT_WINDOW:
            raise ValueError(
                f"{provider} lets nobody choose the time in which a batch is to be done. Leave "
                "completion_window out"
            )
        if window is not None and provider == "mistral" and not re.fullmatch(r"[1-9]\d*h", window):
            raise ValueError(
                f"mistral counts the time of a batch in hours, such as 24h or 168h, and "
                f"completion_window is {window!r}"
            )
        return self
