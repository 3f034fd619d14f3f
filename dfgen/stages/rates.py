"""Lets the workers of a shared run keep to the rates of an account together."""

from __future__ import annotations

import hashlib
import json

from dfgen.config.engine import EngineConfig, OpenAIConfig
from dfgen.engines.base import Engine, PacedEngine
from dfgen.store.run import Run
from dfgen.store.shared.crew import Crew
from dfgen.store.shared.rate_shares import RateShare
from dfgen.store.shared.run import SharedRun


def share_rates(run: Run, config: EngineConfig, engine: Engine) -> None:
    """Tell an engine to keep to its part of the rates; alone it has all of them."""
    if (
        not isinstance(run, SharedRun)
        or not isinstance(config, OpenAIConfig)
        or not isinstance(engine, PacedEngine)
        or (config.requests_per_minute, config.tokens_per_minute) == (None, None)
    ):
        return
    crew = Crew(run.files, run.root)
    share = RateShare(crew, run.membership.token, name_account(config))
    engine.keep_to(share.hold)


def name_account(config: OpenAIConfig) -> str:
    """Name whose rates a section speaks of: the same servers, key and model."""
    said = json.dumps([config.base_url, config.api_key_env, config.model])
    return f"account-{hashlib.sha256(said.encode()).hexdigest()[:16]}"
