"""Says what makes the results of a model behind a server, as far as a client can know."""

from __future__ import annotations

from typing import Any

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import EngineInfo
from dfgen.version import VERSION


def describe_client(
    config: OpenAIConfig, settings: dict[str, Any], features: tuple[str, ...] = ()
) -> EngineInfo:
    """Describe the client: revision and dtype are the server's, and unknown.

    Args:
        settings, features: see `EngineInfo`.
    """
    return EngineInfo(
        name="openai",
        version=VERSION,
        model=config.model,
        revision=None,
        dtype=None,
        tokenizer=config.tokenizer,
        features=features,
        settings=settings,
    )
