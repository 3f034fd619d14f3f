"""Runs without answers of their own, cut out of a finished run: what pairs and carried-over masks
leave on disk.

    root = make_bare_run(finished_run, tmp_path / "bare", prompts="none")

`prompts` says how many of the masks have a question: all of them, some, or none. With `some`, rows
have names of their own and stand in no order, and two prompts have masks in both shards.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

from dfgen.records import Mask, Prompt, Reject
from dfgen.store.shards import ShardTable

Prompts = Literal["all", "some", "none"]
PROMPTS: tuple[Prompts, ...] = ("all", "some", "none")


def make_bare_run(source: Path, root: Path, prompts: Prompts = "none") -> Path:
    """Copy a finished run without its trajectories, repairs and controls."""
    root.mkdir(parents=True)
    manifest = json.loads((source / "run.json").read_text())
    manifest["stages"] = {"mask": manifest["stages"]["mask"]}
    manifest["kind"] = "retokenized" if prompts == "none" else "pairs"
    manifest["tables"], manifest["shards"] = [], {}
    del manifest["content_sha256"]
    masks = list(ShardTable(source / "masks", Mask).iter_rows())
    questions = list(ShardTable(source / "prompts", Prompt).iter_rows())
    if prompts == "all":
        shutil.copytree(source / "masks", root / "masks")
        shutil.copytree(source / "prompts", root / "prompts")
    elif prompts == "none":
        shutil.copytree(source / "masks", root / "masks")
    else:
        scatter(masks, questions, root)
    kept = [
        Reject(
            stage="mask",
            row_id="row-x",
            prompt_id=None,
            reason="ids_differ",
            detail="decoding completion_ids does not give the wrong text.",
            evidence="{}",
        )
    ]
    ShardTable(root / "rejects", Reject, prefix="mask").write(0, kept)
    rows = len(masks)
    manifest["stages"]["mask"]["counts"] = {"input": rows + 1, "output": rows, "rejects": 1}
    (root / "run.json").write_text(json.dumps(manifest))
    return root


def scatter(masks: list[dict[str, Any]], questions: list[dict[str, Any]], root: Path) -> None:
    """Two shards of masks by turns, prompts of half of them, all in the first shard."""
    for number, mask in enumerate(masks):
        mask["trajectory_id"] = f"row-{number}"
        mask["sample_index"] = 0
    table = ShardTable(root / "masks", Mask)
    table.write(0, masks[0::2])
    table.write(1, masks[1::2])
    ShardTable(root / "prompts", Prompt).write(0, questions[: len(questions) // 2])
