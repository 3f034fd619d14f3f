"""`chord`: whole repairs, as ms-swift mixes expert answers into GRPO (`--chord_sft_dataset FILE`).

CHORD (arXiv 2508.11408) weighs a supervised loss on them against GRPO on fresh answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dfgen.export.chats import make_answer
from dfgen.export.columns import list_source_fields, make_chat_type, make_images_type
from dfgen.export.tables.table import ExportTable, Fields

if TYPE_CHECKING:
    from dfgen.export.examples import ExamplePart


def list_chord_fields() -> Fields:
    """List names, then what ms-swift keeps."""
    import pyarrow as pa

    return [
        ("trajectory_id", pa.string()),
        ("prompt_id", pa.string()),
        *list_source_fields(),
        ("messages", make_chat_type()),
        ("images", make_images_type()),
    ]


def make_chord(part: ExamplePart) -> dict[str, Any]:
    """Make one row per repair."""
    examples = part.examples
    return {
        "trajectory_id": [example.trajectory_id for example in examples],
        "prompt_id": [example.prompt_id for example in examples],
        "source_id": [example.source_id for example in examples],
        "metadata": [example.metadata for example in examples],
        "messages": [[*example.messages, make_answer(example.text)] for example in examples],
        "images": [example.images for example in examples],
    }


TABLE = ExportTable(
    name="chord",
    description="whole repairs as expert answers, for CHORD in ms-swift",
    list_fields=list_chord_fields,
    make_columns=make_chord,
    mask_column=None,
    made_of="examples",
    recipe="sft",
    changes=(("right", "drop"),),
    usage="swift rlhf --rlhf_type grpo --chord_sft_dataset FILE",
)
