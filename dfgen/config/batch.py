"""Defines how requests go to a server in files that it works on later, instead of one by one."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

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
    """Sent along where the provider knows one (gemini); others get it as a field `priority`."""
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
