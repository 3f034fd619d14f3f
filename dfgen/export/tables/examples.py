"""`examples`: what a recipe makes of the answers: ids, advantages and masks, ready for a loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dfgen.export.columns import (
    list_source_fields,
    make_blocks_type,
    make_chat_type,
    make_images_type,
)
from dfgen.export.tables.table import ExportTable, Fields

if TYPE_CHECKING:
    from dfgen.export.examples import ExamplePart


def list_number_fields() -> Fields:
    """List what a loss needs of an example; the order is that of `dfgen.trainers.Example`."""
    import pyarrow as pa

    text, floats = pa.string(), pa.list_(pa.float32())
    return [
        ("trajectory_id", text),
        ("prompt_id", text),
        *list_source_fields(),
        ("kind", text),
        ("completion_ids", pa.list_(pa.int32())),
        ("advantages", floats),
        ("loss_mask", pa.list_(pa.bool_())),
        ("old_logprobs", floats),
        ("loss", text),
        ("divisor", pa.int32()),
        ("reward", pa.float32()),
        ("finish_reason", text),
    ]


def list_example_fields() -> Fields:
    """List the prompt in two forms, the pictures, then the numbers."""
    import pyarrow as pa

    numbers = list_number_fields()
    return [
        *numbers[:5],
        ("prompt", make_blocks_type()),
        ("messages", make_chat_type()),
        ("images", make_images_type()),
        ("completion_text", pa.string()),
        *numbers[5:],
    ]


def make_numbers(part: ExamplePart) -> dict[str, Any]:
    """Make the columns of `list_number_fields`."""
    examples = part.examples
    return {
        "trajectory_id": [example.trajectory_id for example in examples],
        "prompt_id": [example.prompt_id for example in examples],
        "source_id": [example.source_id for example in examples],
        "metadata": [example.metadata for example in examples],
        "kind": [example.kind for example in examples],
        "completion_ids": [example.ids for example in examples],
        "advantages": [example.advantages for example in examples],
        "loss_mask": [example.loss_mask for example in examples],
        "old_logprobs": [example.old_logprobs for example in examples],
        "loss": [example.loss for example in examples],
        "divisor": [example.divisor for example in examples],
        "reward": [example.reward for example in examples],
        "finish_reason": [example.finish_reason for example in examples],
    }


def make_examples(part: ExamplePart, **_: Any) -> dict[str, Any]:
    """Make one row per example."""
    examples = part.examples
    return {
        **make_numbers(part),
        "prompt": [example.prompt for example in examples],
        "messages": [example.messages for example in examples],
        "images": [example.images for example in examples],
        "completion_text": [example.text for example in examples],
    }


TABLE = ExportTable(
    name="examples",
    description="one row per training example of a recipe: ids, advantages, masks",
    list_fields=list_example_fields,
    make_columns=make_examples,
    mask_column="loss_mask",
    made_of="examples",
    recipe="df+whole",
    takes=("recipe", "temperature"),
    on_hub=False,
)
