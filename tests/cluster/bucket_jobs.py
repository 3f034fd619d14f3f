"""Runs for buckets whose answers are always the same, and how they come out on a disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.bucket_worker import REPAIRS, WORDS
from tests.support.scripted_models import Models, answer_by_index, make_pipeline
from tests.support.scripted_runs import hash_tables, invoke

TABLES = ("prompts", "trajectories", "repairs", "masks", "rejects")
EVERY = 2
"""Answers of a segment in these runs."""


@dataclass(frozen=True)
class BucketJob:
    """A pipeline file and how its run comes out when nobody disturbs it.

    Attributes:
        pipeline: the file.
        calm: the sha256 of each final file of a run on this disk alone, by its name.
        requests: that its repairer was paid for.
    """

    pipeline: Path
    calm: dict[str, str]
    requests: int


def make_bucket_job(folder: Path, shard_size: int) -> BucketJob:
    """Write a pipeline and run it in peace."""
    bucket = {"flush_paid_answers": EVERY, "flush_paid_seconds": 600}
    tree = make_pipeline(folder / "q", bucket=bucket, prompts={"shard_size": shard_size})
    path = folder / "pipeline.yaml"
    path.write_text(json.dumps(tree.model_dump(mode="json", exclude_unset=True)), "utf-8")
    models = Models(answer_by_index(WORDS), dict(REPAIRS))
    with pytest.MonkeyPatch.context() as patch:
        models.replace_engines(patch)
        invoke("run", path, "--out", folder / "local", "--quiet")
    return BucketJob(path, hash_tables(folder / "local", TABLES), models.asked.total())
