"""Makes the texts of a finished run hostile: each tries to command the terminal that shows it.

    poison_run(sample_run_copy)

Ids, questions, answers to choose from, details, evidence, facts of the manifest: all that a model,
a server or a data set may have written. Completions and repairs stay, because ids and offsets
belong to them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from dfgen.records import Reject
from dfgen.store.layout import TABLES
from dfgen.store.run import Run
from dfgen.store.shards import ShardTable

POISON = (
    "\x1b[2J\x1b]0;title\x07\x1b]8;;http://evil\x1b\\ \x9b31m\x90\r\b\x7f \u202egnp\u2066 [red]"
)
"""Controls of every kind: C0, DEL, C1, marks of direction; and markup of rich."""

KEPT = {"completion", "repair", "finish_reason", "mask_source", "stage", "ids_source", "protocol"}
KEPT |= {"format", "sha256", "ids_sha256", "repair_ids_sha256", "step_roles", "answer_type"}
KEPT |= {"reason", "edits", "metadata"}


def poison_run(root: Path) -> Path:
    """Rewrite every table and the manifest of a run in place."""
    run = Run.open_or_create(root, None)
    for name in TABLES:
        _poison_table(run.table(name))
    _add_reject(run)
    for stage in run.stages:
        _poison_table(run.rejects(stage))
    manifest = json.loads((root / "run.json").read_bytes())
    for record in manifest["stages"].values():
        record["facts"]["answer"] = POISON
    manifest["pipeline"]["name"] = f"name {POISON}"
    (root / "run.json").write_text(json.dumps(manifest))
    return root


def _add_reject(run: Run) -> None:
    row = Reject(
        stage="prompts",
        row_id="row 1",
        prompt_id=None,
        reason="question_empty",
        detail="field",
        evidence=json.dumps({"text": "x"}),
    )
    run.rejects("prompts").write(0, [row])


def _poison_table(table: ShardTable) -> None:
    for shard in table.shards():
        table.write(shard, [_poison(row) for row in table.iter_rows(shard)])


def _poison(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _poison(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_poison(each, name) for each in value]
    if not isinstance(value, str) or name in KEPT:
        return value
    if name in ("evidence", "hunks"):
        return json.dumps(_poison(json.loads(value)))
    key = re.fullmatch(r"(.+)(-\d+)", value) if name in ("trajectory_id", "row_id") else None
    return f"{key[1]}{POISON}{key[2]}" if key else value + POISON
