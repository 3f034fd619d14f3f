"""Defines section `bucket`: how much a machine that dies can lose of a run in an object store."""

from __future__ import annotations

from pydantic import Field

from dfgen.config.section import Section


class BucketConfig(Section):
    """How often what is in work is sent to the bucket that the run lies in; finished shards are
    sent at once. Of no meaning for a run on a disk."""

    flush_seconds: float = Field(default=30.0, gt=0)
    """A machine that dies loses at most the answers of its last so many seconds."""
    flush_paid_answers: int = Field(default=8, ge=1)
    """Answers of a server (`engine: openai`): at most so many are lost."""
    flush_paid_seconds: float = Field(default=5.0, gt=0)
    """And none that is older than so many seconds."""
