"""Lists the providers of batches: their limits, and what they call things."""

from __future__ import annotations

from dataclasses import dataclass

from dfgen.config.batch import BatchConfig, ProviderName

_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Provider:
    """The rules of one provider.

    Attributes:
        max_requests, max_bytes: of one file.
        window: what a batch is given by default, in its own words.
        lists: whether files and batches can be listed, so that one that was handed over is found.
        tags: whether a batch keeps a name that it was given, or a file does.
        purpose: of an uploaded file.
        files, batches: paths below the base URL.
        upload: path of an upload, where it is another one than `files`.
        full_rows: whether a row names method and address beside its body.
    """

    max_requests: int
    max_bytes: int
    window: str = "24h"
    lists: bool = True
    tags: bool = True
    purpose: str = "batch"
    files: str = "/files"
    batches: str = "/batches"
    upload: str = ""
    full_rows: bool = True

    @property
    def finds(self) -> bool:
        """Whether what was handed over is found again by its name."""
        return self.lists and self.tags


# As the documents said in November 2026; where two pages of a provider differ, the smaller number.
PROVIDERS: dict[ProviderName, Provider] = {
    # https://developers.openai.com/api/docs/guides/batch: 50,000 requests, 200 MB, window 24h only.
    "openai": Provider(50_000, 200 * _MB),
    # https://docs.together.ai/docs/inference/batch/overview: 50,000, 100 MB, the window is fixed.
    "together": Provider(
        50_000, 100 * _MB, purpose="batch-api", upload="/files/upload", full_rows=False
    ),
    # https://console.groq.com/docs/batch: 50,000 lines, windows from 24h to 7d; its Python client
    # says 100 MB of a file, older pages 200.
    "groq": Provider(50_000, 100 * _MB),
    # https://docs.mistral.ai/resources/known-limitations: 100,000 and 512 MB; the page about
    # batches speaks of a million.
    "mistral": Provider(100_000, 512 * _MB, batches="/batch/jobs", full_rows=False),
    # https://docs.litellm.ai/docs/batches names none: it hands on what it gets, so the limits are
    # those of the provider behind it. OpenAI's are assumed.
    "litellm": Provider(50_000, 200 * _MB),
    # https://github.com/llm-d/llm-d-batch-gateway: whoever runs it sets them. OpenAI's are assumed.
    "llm-d": Provider(50_000, 200 * _MB),
    # https://platform.claude.com/docs/en/build-with-claude/batch-processing: 100,000 or 256 MB; a
    # batch has no name of ours.
    "anthropic": Provider(100_000, 256 * _MB, tags=False, batches="/messages/batches"),
    # https://ai.google.dev/gemini-api/docs/batch-api and .../rate-limits: 2 GB a file, no number of
    # requests; 20 GB of files in all, so that 8 in flight fit.
    "gemini": Provider(1_000_000, 2_000 * _MB),
}


def find_limits(config: BatchConfig) -> tuple[int, int]:
    """Return how many requests and bytes a file may have: what is given, else the provider's."""
    rules = PROVIDERS[config.provider]
    return config.max_requests or rules.max_requests, config.max_bytes or rules.max_bytes
