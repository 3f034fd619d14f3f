"""A finished run that has every kind of file: all tables, rejects, a journal, an entry of its own.

    root = make_full_run(tmp_path / "run")

The answers are those of `tests.support.sample_run`; scores, values and controls say as little as
their records allow.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any

from dfgen.records import Attempt, Control, Reject, Score, Value
from dfgen.store.entries import write_entry
from dfgen.store.finishing import finish_shard
from dfgen.store.layout import JOURNAL
from dfgen.store.run import Run
from tests.support.sample_run import finish_stage, make_run


def make_full_run(root: Path) -> Path:
    """Make the run; equal calls make equal tables."""
    run = Run.open_or_create(make_run(root, prompts=14, samples=4), None)
    rows = list(run.table("trajectories").iter_rows(0))
    repairs, ledger = (list(t.iter_rows(0)) for t in (run.output("repair"), run.rejects("repair")))
    right = next(row for row in rows if row["reward"] == 1)
    with run.lock():
        beside = {"controls": [make_control(right)]}
        finish_shard(run, "repair", 0, repairs, ledger, beside=beside)
        finish_stage(run, "repair")
        refused = [make_reject("score", rows[0]["trajectory_id"])]
        for stage in ("score", "value"):
            run.set_stage(stage, state="running", counts={})
        finish_shard(run, "score", 0, [make_score(row) for row in rows[1:]], refused)
        finish_stage(run, "score")
        finish_shard(run, "value", 0, [make_value(repairs[0], rows)])
        finish_stage(run, "value")
        finish_shard(run, "mask", 0, list(run.table("masks").iter_rows(0)))
        finish_stage(run, "mask")
        entry = run.entry("mask", 0)
        assert entry is not None
        write_entry(root / JOURNAL, "mask", 0, entry)
        with run.retry_journal(0) as journal:
            for number in range(3):
                journal.append([{"key": f"p-{number}", "text": "an answer"}])
                journal.sync()
    return root


def make_control(row: dict[str, Any]) -> Control:
    attempt = Attempt(
        index=0,
        accepted=False,
        reason="unchanged",
        detail="",
        text="",
        finish_reason="stop",
        prompt_tokens=1,
        completion_tokens=1,
        cost_usd=0.0,
        seed=0,
    )
    return Control(
        **{name: row[name] for name in ("trajectory_id", "prompt_id", "sample_index")},
        changed=False,
        text=None,
        reward=None,
        edit_ratio=None,
        attempt=attempt,
        model="scripted",
    )


def make_score(row: dict[str, Any]) -> Score:
    empty = dict.fromkeys(Score.model_fields)
    keys = {name: row[name] for name in ("trajectory_id", "prompt_id", "sample_index")}
    return Score(**{**empty, **keys, "ids_sha256": hash_ids(row["completion_ids"])})


def make_value(repair: dict[str, Any], rows: list[dict[str, Any]]) -> Value:
    row = next(row for row in rows if row["trajectory_id"] == repair["trajectory_id"])
    return Value(
        **{name: row[name] for name in ("trajectory_id", "prompt_id", "sample_index")},
        ids_sha256=hash_ids(row["completion_ids"]),
        repair_ids_sha256=hash_ids(row["completion_ids"]),
        tokens=len(row["completion_ids"]),
        temperature=1.0,
        drawn=8,
        value_start=0.5,
        value_points=[],
        hunk_values=[],
        blame=[],
        prefix=None,
    )


def make_reject(stage: str, row_id: str) -> Reject:
    return Reject(stage=stage, row_id=row_id, prompt_id=None, reason="x", detail="x", evidence="{}")


def hash_ids(ids: list[int]) -> str:
    return hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest()
