"""What a provider would ignore is refused when the file is read, not paid for in silence."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from dfgen.config.batch import BatchConfig, ProviderName

WITH_PRIORITY = {"gemini", "together"}
WITHOUT_WINDOW = {"gemini", "anthropic"}


def read(**fields: Any) -> BatchConfig:
    return BatchConfig.model_validate(fields)


@pytest.mark.parametrize("provider", get_args(ProviderName))
def test_a_priority_is_taken_where_there_is_one(provider: str) -> None:
    assert read(provider=provider).priority is None
    if provider in WITH_PRIORITY:
        assert read(provider=provider, priority=-3).priority == -3
    else:
        with pytest.raises(ValidationError, match=f"{provider} knows no priority.*Leave priority"):
            read(provider=provider, priority=0)


@pytest.mark.parametrize("provider", get_args(ProviderName))
def test_a_window_is_taken_where_it_can_be_chosen(provider: str) -> None:
    assert read(provider=provider).completion_window is None
    if provider in WITHOUT_WINDOW:
        with pytest.raises(ValidationError, match=f"{provider} lets nobody choose.*window out"):
            read(provider=provider, completion_window="24h")
    else:
        assert read(provider=provider, completion_window="48h").completion_window == "48h"


@pytest.mark.parametrize("window", ["7d", "0h", "24", "h", "1.5h", "-3h", "24h "])
def test_mistral_counts_hours_and_nothing_becomes_24_in_silence(window: str) -> None:
    with pytest.raises(ValidationError, match="in hours, such as 24h"):
        read(provider="mistral", completion_window=window)
    assert read(provider="openai", completion_window=window).completion_window == window
