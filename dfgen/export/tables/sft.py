"""`sft`: right and repaired answers, to be imitated: the control that every study must show.

`messages` (text with `<image>`) is what ms-swift, LLaMA-Factory and verl read; `prompt` and
`completion` (blocks) what TRL reads, which looks at `messages` first and must not see it:

    load_dataset(..., split="train").remove_columns("messages")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dfgen.export.chats import make_answer, make_turn
from dfgen.export.columns import (
    list_source_fields,
    make_blocks_type,
    make_chat_type,
    make_images_type,
)
from dfgen.export.tables.table import ExportTable, Fields

if TYPE_CHECKING:
    from dfgen.export.examples import ExamplePart


def list_sft_fields() -> Fields:
    """List the conversation in two forms, and its pictures."""
    import pyarrow as pa

    text = pa.string()
    return [
        ("trajectory_id", text),
        ("prompt_id", text),
        *list_source_fields(),
        ("kind", text),
        ("messages", make_chat_type()),
        ("prompt", make_blocks_type()),
        ("completion", make_blocks_type()),
        ("images", make_images_type()),
    ]


def make_sft(part: ExamplePart) -> dict[str, Any]:
    """Make one row per answer that the recipe `sft` trains on."""
    examples = part.examples
    return {
        "trajectory_id": [example.trajectory_id for example in examples],
        "prompt_id": [example.prompt_id for example in examples],
        "source_id": [example.source_id for example in examples],
        "metadata": [example.metadata for example in examples],
        "kind": [example.kind for example in examples],
        "messages": [[*example.messages, make_answer(example.text)] for example in examples],
        "prompt": [example.prompt for example in examples],
        "completion": [[make_turn("assistant", [example.text])] for example in examples],
        "images": [example.images for example in examples],
    }


TABLE = ExportTable(
    name="sft",
    description="right and repaired answers to imitate: messages and pictures",
    list_fields=list_sft_fields,
    make_columns=make_sft,
    mask_column=None,
    made_of="examples",
    recipe="sft",
    usage="TRL reads prompt and completion: table.remove_columns('messages'); ms-swift, "
    "LLaMA-Factory and verl read messages",
)
