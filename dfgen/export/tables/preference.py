"""`preference`: each repair against the wrong answer that it was made of, for DPO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dfgen.export.columns import list_source_fields, make_blocks_type, make_images_type
from dfgen.export.tables.table import ExportTable, Fields

if TYPE_CHECKING:
    from dfgen.export.shard import Shard


def list_preference_fields() -> Fields:
    """Prompt and both answers as messages of blocks."""
    import pyarrow as pa

    text = pa.string()
    return [
        ("prompt_id", text),
        ("trajectory_id", text),
        *list_source_fields(),
        ("prompt", make_blocks_type()),
        ("chosen", make_blocks_type()),
        ("rejected", make_blocks_type()),
        ("images", make_images_type()),
        ("hunks", text),
        ("edit_ratio", pa.float32()),
    ]


def make_preference(shard: Shard) -> dict[str, Any]:
    """Make one row per mask that a repair stands behind."""
    import pyarrow.compute as pc

    shard = shard.filter(pc.equal(shard.masks["mask_source"], "repair"))
    masks = shard.masks
    return {
        "prompt_id": masks["prompt_id"],
        "trajectory_id": masks["trajectory_id"],
        "source_id": masks["source_id"],
        "metadata": masks["metadata"],
        "prompt": [shard.chats[owner].blocks for owner in shard.owners],
        "chosen": [_make_answer(text) for text in masks["repair"].to_pylist()],
        "rejected": [_make_answer(text) for text in masks["completion_text"].to_pylist()],
        "images": shard.spread(shard.prompts["images"]),
        "hunks": masks["hunks"],
        "edit_ratio": pc.struct_field(masks["quality"], "edit_ratio"),
    }


def _make_answer(text: str) -> list[dict[str, Any]]:
    from dfgen.export.chats import make_turn

    return [make_turn("assistant", [text])]


TABLE = ExportTable(
    name="preference",
    description="the repair (`chosen`) against the wrong answer (`rejected`), for DPO",
    list_fields=list_preference_fields,
    make_columns=make_preference,
    mask_column=None,
)
