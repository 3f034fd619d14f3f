"""`privileged`: what a teacher is told of each repaired answer, for trainers that self-distil.

Columns are those of ms-swift (`teacher_prompt`, `teacher_images`), of TRL's SDFT and SDPO
(`privileged_context`), and what tinker-cookbook's SDFT asks for (`question`, `golden_answer`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dfgen.export.columns import (
    list_source_fields,
    make_blocks_type,
    make_chat_type,
    make_images_type,
)
from dfgen.export.privileged import Context, list_forms, write_context
from dfgen.export.tables.stepwise import cut_text
from dfgen.export.tables.table import ExportTable, Fields

if TYPE_CHECKING:
    from dfgen.export.shard import Shard

_WRITTEN_FROM = ["completion_text", "repair", "hunks", "token_bytes", "step_ids"]


def list_privileged_fields() -> Fields:
    """List the prompt, then the teacher's in the words of three trainers."""
    import pyarrow as pa

    text = pa.string()
    return [
        ("trajectory_id", text),
        ("prompt_id", text),
        *list_source_fields(),
        ("prompt", make_blocks_type()),
        ("messages", make_chat_type()),
        ("images", make_images_type()),
        ("teacher_prompt", text),
        ("teacher_images", make_images_type()),
        ("privileged_context", text),
        ("question", text),
        ("golden_answer", text),
        ("answer", text),
        ("revealed", pa.int32()),
        ("mistakes", pa.int32()),
    ]


def make_privileged(shard: Shard, *, reveal: int) -> dict[str, Any]:
    """Make one row per repaired answer in which the repair changed more than form or order.

    `teacher_prompt` is the user's message with the context behind it. `teacher_images` is null:
    ms-swift then shows the teacher the student's pictures.

    Args:
        reveal: as `write_context` takes it.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    shard = shard.filter(pc.equal(shard.masks["mask_source"], "repair"))
    contexts = _write_contexts(shard, reveal)
    kept = pa.array([context is not None for context in contexts], pa.bool_())
    shard = shard.filter(pa.chunked_array([kept]))
    chats = [shard.chats[owner] for owner in shard.owners]
    found = [context for context in contexts if context is not None]
    return {
        "trajectory_id": shard.masks["trajectory_id"],
        "prompt_id": shard.masks["prompt_id"],
        "source_id": shard.masks["source_id"],
        "metadata": shard.masks["metadata"],
        "prompt": [chat.blocks for chat in chats],
        "messages": [chat.messages for chat in chats],
        "images": shard.spread(shard.prompts["images"]),
        "teacher_prompt": [
            f"{chat.problem}\n\n{context.text}" for chat, context in zip(chats, found, strict=True)
        ],
        "teacher_images": [None] * len(found),
        "privileged_context": [context.text for context in found],
        "question": [chat.text for chat in chats],
        "golden_answer": [context.shown for context in found],
        "answer": shard.spread(shard.prompts["answer"]),
        "revealed": [context.revealed for context in found],
        "mistakes": [context.mistakes for context in found],
    }


def _write_contexts(shard: Shard, reveal: int) -> list[Context | None]:
    prompts = shard.prompts.select(["answer", "choices"]).to_pylist()
    forms = [list_forms(prompt["answer"], prompt["choices"]) for prompt in prompts]
    rows = shard.masks.select(_WRITTEN_FROM).to_pylist()
    return [
        write_context(
            row["completion_text"],
            row["repair"],
            json.loads(row["hunks"]),
            cut_text(row["completion_text"], row["token_bytes"], row["step_ids"]),
            forms[owner],
            reveal,
        )
        for row, owner in zip(rows, shard.owners.tolist(), strict=True)
    ]


TABLE = ExportTable(
    name="privileged",
    description="what was wrong in each repaired answer, as a teacher's context",
    list_fields=list_privileged_fields,
    make_columns=make_privileged,
    mask_column=None,
    takes=("reveal",),
)
