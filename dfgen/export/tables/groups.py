"""`groups`: a prompt with its pictures and everything that was answered to it, as GRPO reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dfgen.dataset_names import SPLIT
from dfgen.export.columns import (
    list_mask_fields,
    make_blocks_type,
    make_chat_type,
    make_images_type,
    merge_chunks,
)
from dfgen.export.tables.table import ExportTable, Fields

if TYPE_CHECKING:
    from dfgen.export.shard import Shard

_COPIED = ("prompt_id", "source_id", "images", "answer", "solution", "choices", "metadata")


def list_group_fields() -> Fields:
    """List the question in the forms of several trainers, then the trajectories."""
    import pyarrow as pa

    text = pa.string()
    return [
        ("prompt_id", text),
        ("source_id", text),
        ("prompt", make_blocks_type()),
        ("messages", make_chat_type()),
        ("problem", text),
        ("images", make_images_type()),
        ("answer", text),
        ("solution", text),
        ("choices", pa.list_(text)),
        ("data_source", text),
        ("ability", text),
        ("reward_model", pa.struct([("style", text), ("ground_truth", text)])),
        (
            "extra_info",
            pa.struct(
                [
                    ("index", pa.int64()),
                    ("split", text),
                    ("prompt_id", text),
                    ("answer", text),
                    ("source", text),
                    ("source_id", text),
                ]
            ),
        ),
        ("metadata", text),
        ("trajectories", pa.list_(pa.struct(list_mask_fields()))),
    ]


def make_groups(shard: Shard) -> dict[str, Any]:
    """Make one row per prompt."""
    import pyarrow as pa

    names = [name for name, _ in list_mask_fields()]
    members = [merge_chunks(shard.masks[name]) for name in names]
    nested = pa.StructArray.from_arrays(members, names)
    return {
        **make_prompts(shard),
        "trajectories": pa.ListArray.from_arrays(shard.find_edges(), nested),
    }


def make_prompts(shard: Shard) -> dict[str, Any]:
    """Make the columns of a group that its trajectories have no part in."""
    prompts = shard.prompts
    rows = prompts.select(["prompt_id", "answer", "source", "source_id"]).to_pylist()
    return {
        **{name: prompts[name] for name in _COPIED},
        "prompt": [chat.blocks for chat in shard.chats],
        "messages": [chat.messages for chat in shard.chats],
        "problem": [chat.problem for chat in shard.chats],
        "data_source": [shard.data_source] * len(rows),
        "ability": prompts["answer_type"],
        "reward_model": [{"style": "rule", "ground_truth": row["answer"]} for row in rows],
        "extra_info": [
            {
                "index": shard.first_row + i,
                "split": SPLIT,
                "prompt_id": row["prompt_id"],
                "answer": row["answer"],
                "source": row["source"],
                "source_id": row["source_id"],
            }
            for i, row in enumerate(rows)
        ],
    }


TABLE = ExportTable(
    name="groups",
    description="one row per prompt: question, pictures, and all its trajectories with masks",
    list_fields=list_group_fields,
    make_columns=make_groups,
    mask_column="loss_mask",
    nested_in="trajectories",
)
