"""Workers keep to the limits of a run in a bucket, whatever those have spent who are gone."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dfgen.errors import DfgenError
from dfgen.records import Reject
from dfgen.stages.repair.shared_spending import open_spending
from dfgen.stages.repair.spending import SpentCount
from dfgen.store.bucket.mirror import Mirror
from dfgen.store.mounts import add_mount, remove_mount
from dfgen.store.shards import ShardTable
from dfgen.store.shared.run import SharedRun
from tests.support.memory_objects import MemoryObjects
from tests.support.scripted_models import make_pipeline

pytest.importorskip("obstore", reason="make cluster-env installs it")


def write_refused(folder: Path, requests: int) -> Path:
    """A shard of rejects for which so many requests were paid."""
    evidence = json.dumps({"attempts": [{"cost_usd": 0.1}] * requests})
    names = {"stage": "repair", "row_id": "a", "prompt_id": "p"}
    row = Reject(**names, reason="not_fixed", detail="", evidence=evidence)
    table = ShardTable(folder, Reject, prefix="repair")
    folder.mkdir()
    table.write(0, [row])
    return table.path(0)


def test_what_a_worker_has_spent_that_is_gone_counts_at_once(tmp_path: Path) -> None:
    """It has finished a shard since this one last looked at the bucket."""
    objects = MemoryObjects()
    (tmp_path / "machine").mkdir()
    mirror = Mirror(objects, tmp_path / "machine", alone=True)
    pipeline = make_pipeline(tmp_path / "q", repair={"max_requests": 3})
    add_mount(mirror)
    try:
        mirror.refresh()
        run = SharedRun.open_or_create(mirror.root, pipeline)
        session: Any = SimpleNamespace(run=run, stop=SimpleNamespace(requested=False))
        with run.join(60.0):
            spending = open_spending(session, pipeline.repair, SpentCount())
            spending.check()
            objects.put("rejects/repair-00000.parquet", write_refused(tmp_path / "other", 3))
            with pytest.raises(DfgenError, match=r"max_requests=3.* after 3 requests"):
                spending.check()
    finally:
        remove_mount(mirror.root)
