"""Makes pipelines of small runs whose policy draws in larger batches."""

from __future__ import annotations

from typing import Any

from dfgen.config.pipeline import Pipeline
from tests.stages.score import running

BATCH = 50


def make_pipeline(**changes: dict[str, Any]) -> Pipeline:
    """The demo's pipeline, made small: two shards, batches that end at odd places."""
    prompts = {"count": 8, "shard_size": 4, **changes.pop("prompts", {})}
    policy = {"batch_size": BATCH, **changes.pop("policy", {})}
    return running.make_pipeline(prompts=prompts, policy=policy, **changes)
