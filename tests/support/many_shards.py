"""A shared run of many shards whose stage costs nothing, to count what handing them out takes.

Calls are counted, not seconds, so other load on the machine does not show in them.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dfgen import regular_files
from dfgen.config.load import check_pipeline
from dfgen.runners import shared
from dfgen.runners.shared import run_together
from dfgen.stages.session import Session
from dfgen.stages.work import Tools
from dfgen.store import manifest, run
from dfgen.store.entries import ShardEntry
from dfgen.store.manifest import Manifest
from dfgen.store.run import Run
from dfgen.store.shared.run import SharedRun

PIPELINE = {
    "prompts": {"source": "demo"},
    "policy": {"engine": "transformers", "model": "demo:policy"},
}


def make_run(root: Path, shards: int) -> Path:
    """A run with trajectories in so many shards, noted as finished, and no masks yet."""
    made = Run.open_or_create(root, check_pipeline(PIPELINE, "test"))
    (root / "trajectories").mkdir()
    for shard in range(shards):
        made.table("trajectories").path(shard).touch()
    entries = {
        shard: ShardEntry(sha256={f"trajectories/part-{shard:05d}.parquet": 64 * "0"}, rows=4)
        for shard in range(shards)
    }

    def note(noted: Manifest) -> None:
        noted.shards["sample"] = entries

    made.update(note)
    return root


class NoWork:
    """The mask stage, its files empty (`dfgen.stages.work.StageWork`)."""

    stage = "mask"

    def list_facts(self, session: Session) -> dict[str, str]:
        """None."""
        return {}

    @contextmanager
    def open_tools(self, session: Session) -> Iterator[Tools]:
        """None."""
        yield Tools(session.pipeline)

    def run_shards(self, session: Session, tools: Tools, shards: list[int]) -> None:
        """Put the files there."""
        for shard in shards:
            output = session.run.output("mask").path(shard)
            output.parent.mkdir(exist_ok=True)
            output.touch()
            made_from = session.run.generations("mask", shard)
            session.run.write_entry("mask", shard, ShardEntry(made_from=made_from))
            session.run.let_go("mask", shard)

    def close(self, session: Session) -> None:
        """Nothing is left to say."""


def count_calls(root: Path, patch: pytest.MonkeyPatch) -> Counter[str]:
    """Do the stage in all shards that this worker gets; returns what it asked the disk for.

    From when it has found what is left until that is done: each worker reads and closes a run once.
    """
    counts: Counter[str] = Counter()
    _leave_rows_out(patch)
    made = SharedRun.open_or_create(root, None)
    session = Session(made, made.read_pipeline())
    work = NoWork()
    patch.setattr(shared, "find_work", lambda _: work)
    with made.join(60.0):
        _watch(counts, patch)
        assert run_together(session, ("mask",))
        patch.undo()
    return counts


def _leave_rows_out(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks into the files, which are empty, nor at the end for their sums."""
    patch.setattr(run, "is_complete", lambda *_: True)
    patch.setattr(shared, "count_stage", lambda *_: {})
    patch.setattr(shared, "finish_stage", lambda *_, **__: None)


def _watch(counts: Counter[str], patch: pytest.MonkeyPatch) -> None:
    stat, listdir, read = os.stat, os.listdir, regular_files.read_json

    def counting_stat(*arguments: Any, **named: Any) -> Any:
        counts["files looked at"] += 1
        return stat(*arguments, **named)

    def counting_listdir(*arguments: Any) -> Any:
        names = listdir(*arguments)
        counts["names listed"] += len(names)
        return names

    def counting_read(path: Path, most: int) -> Any:
        counts["kB of run.json read"] += stat(path).st_size // 1000
        return read(path, most)

    patch.setattr(os, "stat", counting_stat)
    patch.setattr(os, "listdir", counting_listdir)
    patch.setattr(manifest, "read_json", counting_read)


def main() -> None:
    """One worker of those that a benchmark starts: prints what it has counted."""
    counts = count_calls(Path(sys.argv[1]), pytest.MonkeyPatch())
    print(dict(counts))


if __name__ == "__main__":
    main()
