"""Arrow schemas of the four tables.

Column names are those that the stock loaders of TRL, verl, EasyR1, OpenRLHF, ms-swift and R1-V look
for, and none that trips them: TRL takes a plain-string `completion` beside a conversational prompt
for a broken conversation (depending on PYTHONHASHSEED), and a `completions` column for a keyword
argument given twice. Hence `completion_text`, and a table of its own for `stepwise`.

Everything is nullable, because `datasets` compares types to the letter and knows no "not null".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dfgen.export.names import TABLE_KEY, TOKENIZER_KEY, Config, name_table
from dfgen.records import Mask, arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

RENAMED = {"completion": "completion_text"}
"""Columns of `dfgen.records.Mask` that are published under another name."""


def make_schema(config: Config, tokenizer_sha256: str) -> pa.Schema:
    """The schema of one table, with the metadata that its readers need."""
    import pyarrow as pa

    fields = {
        "groups": _list_group_fields,
        "trajectories": _list_flat_fields,
        "preference": _list_preference_fields,
        "stepwise": _list_stepwise_fields,
    }[config]()
    metadata = {TABLE_KEY: name_table(config), TOKENIZER_KEY: tokenizer_sha256}
    if any(name == "images" for name, _ in fields):
        # Only this column, as a plain list: datasets 3.6 and 5.2 both read it (`List` is unknown
        # to 3.6), and both infer the rest from Arrow.
        features = {"info": {"features": {"images": [{"_type": "Image"}]}}}
        metadata[b"huggingface"] = json.dumps(features)
    return pa.schema(fields, metadata=metadata)


def list_mask_fields() -> list[tuple[str, Any]]:
    """The columns of a mask row under their published names, `prompt_id` left out."""
    return [
        (RENAMED.get(field.name, field.name), relax(field.type))
        for field in arrow_schema(Mask)
        if field.name != "prompt_id"
    ]


def relax(kind: pa.DataType) -> pa.DataType:
    """The same type with every part nullable."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return pa.struct([(field.name, relax(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(relax(kind.value_type))
    return kind


def make_blocks_type() -> pa.DataType:
    """Messages whose content is a list of blocks, as TRL and chat templates read them.

    A block never has a key `image`: templates of Qwen test whether it is there, not what it holds.
    """
    import pyarrow as pa

    block = pa.struct([("type", pa.string()), ("text", pa.string())])
    return pa.list_(pa.struct([("role", pa.string()), ("content", pa.list_(block))]))


def make_chat_type() -> pa.DataType:
    """Messages whose content is text with `<image>` in it, as verl and ms-swift read them."""
    import pyarrow as pa

    return pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def make_images_type() -> pa.DataType:
    """Pictures as original bytes."""
    import pyarrow as pa

    return pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


def _list_group_fields() -> list[tuple[str, Any]]:
    import pyarrow as pa

    text = pa.string()
    return [
        ("prompt_id", text),
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
                ]
            ),
        ),
        ("metadata", text),
        ("trajectories", pa.list_(pa.struct(list_mask_fields()))),
    ]


def _list_flat_fields() -> list[tuple[str, Any]]:
    import pyarrow as pa

    text = pa.string()
    asked = [("prompt_id", text), ("problem", text), ("answer", text), ("data_source", text)]
    return asked + list_mask_fields()


def _list_preference_fields() -> list[tuple[str, Any]]:
    import pyarrow as pa

    text = pa.string()
    return [
        ("prompt_id", text),
        ("trajectory_id", text),
        ("prompt", make_blocks_type()),
        ("chosen", make_blocks_type()),
        ("rejected", make_blocks_type()),
        ("images", make_images_type()),
        ("hunks", text),
        ("edit_ratio", pa.float32()),
    ]


def _list_stepwise_fields() -> list[tuple[str, Any]]:
    import pyarrow as pa

    text = pa.string()
    return [
        ("prompt_id", text),
        ("trajectory_id", text),
        ("prompt", text),
        ("completions", pa.list_(text)),
        ("labels", pa.list_(pa.bool_())),
        ("mask_source", text),
        ("images", make_images_type()),
    ]
