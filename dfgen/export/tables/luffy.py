"""`luffy`: prompts with a right answer from outside (`target`), as LUFFY mixes it into a group.

LUFFY (arXiv 2504.14945) is a fork of verl that puts the first part of a target, or all of it, in
front of some of a prompt's answers. Which part is chosen while it trains, so the mask of the prefix
is made there and no column holds it. Written from reading mix_src/rl_dataset_with_target.py at
commit 01f4ae0, which reads text only; pictures are in `images` for forks that take them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dfgen.export.chats import make_answer
from dfgen.export.columns import make_chat_type
from dfgen.export.tables.groups import list_group_fields, make_prompts
from dfgen.export.tables.table import ExportTable, Fields

if TYPE_CHECKING:
    from dfgen.export.shard import Shard

_SHARED = (
    *("prompt_id", "source_id", "metadata", "images", "data_source", "ability"),
    *("reward_model", "extra_info"),
)


def list_luffy_fields() -> Fields:
    """List prompt and target as chats, then what verl's reward functions read."""
    import pyarrow as pa

    shared = dict(list_group_fields())
    return [
        ("prompt", make_chat_type()),
        ("target", make_chat_type()),
        *((name, shared[name]) for name in _SHARED),
        ("trajectory_id", pa.string()),
    ]


def make_luffy(shard: Shard) -> dict[str, Any]:
    """Make one row per prompt; `target` is the repair that changes least, null where there is none.

    `trajectory_id` is that of the answer which it repairs. Prompts without a repair stay: LUFFY
    answers them by itself alone.
    """
    best: list[dict[str, Any] | None] = [None] * shard.prompts.num_rows
    columns = ["trajectory_id", "mask_source", "repair", "quality"]
    rows = shard.masks.select(columns).to_pylist()
    for owner, row in zip(shard.owners.tolist(), rows, strict=True):
        found = best[owner]
        if row["mask_source"] == "repair" and (found is None or _rate(row) < _rate(found)):
            best[owner] = row
    shared = make_prompts(shard)
    return {
        **{name: shared[name] for name in _SHARED},
        "prompt": shared["messages"],
        "target": [None if row is None else [make_answer(row["repair"])] for row in best],
        "trajectory_id": [None if row is None else row["trajectory_id"] for row in best],
    }


def _rate(row: dict[str, Any]) -> float:
    return float(row["quality"]["edit_ratio"])


TABLE = ExportTable(
    name="luffy",
    description="one row per prompt with its smallest repair as target, for LUFFY",
    list_fields=list_luffy_fields,
    make_columns=make_luffy,
    mask_column=None,
)
