"""`slime`: examples in the form of slime's loader, pictures as data URIs, numbers in `metadata`.

    --prompt-data FILE --input-key prompt --multimodal-keys '{"image": "images"}'
    --metadata-key metadata --apply-chat-template

Written from reading slime/utils/data.py at commit 624b824: its Parquet reader appends pictures of
the Hugging Face form to a message without a word and no template shows them; a string is a picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dfgen.errors import ConfigError
from dfgen.export.columns import make_chat_type
from dfgen.export.tables.examples import list_number_fields, make_numbers
from dfgen.export.tables.table import ExportTable, Fields
from dfgen.trainers.pictures import write_data_uri

if TYPE_CHECKING:
    from dfgen.export.examples import ExamplePart
    from dfgen.trainers.recipe import Recipe

FORMAT = 1
"""Of `metadata`, raised when a name in it changes its meaning."""


def list_slime_fields() -> Fields:
    """List prompt, pictures, and everything else inside of `metadata`."""
    import pyarrow as pa

    shared = [("format", pa.int32()), ("tokenizer_sha256", pa.string())]
    shared.append(("temperature", pa.float32()))
    return [
        ("trajectory_id", pa.string()),
        ("prompt", make_chat_type()),
        ("images", pa.list_(pa.string())),
        ("metadata", pa.struct(shared + list_number_fields())),
    ]


def make_slime(part: ExamplePart, **_: Any) -> dict[str, Any]:
    """Make one row per example; slime's group is one row (`--n-samples-per-prompt 1`)."""
    import pyarrow as pa

    fields = dict(list_slime_fields())
    numbers = make_numbers(part)
    count = len(part.examples)
    shared = {
        "format": [FORMAT] * count,
        "tokenizer_sha256": [part.tokenizer_sha256] * count,
        "temperature": [part.temperature] * count,
    }
    columns = {**shared, **numbers}
    kind = fields["metadata"]
    metadata = pa.StructArray.from_arrays(
        [pa.array(columns[field.name], field.type) for field in kind], fields=list(kind)
    )
    return {
        "trajectory_id": numbers["trajectory_id"],
        "prompt": [example.messages for example in part.examples],
        "images": [[write_data_uri(image) for image in each.images] for each in part.examples],
        "metadata": metadata,
    }


def check_recipe(recipe: Recipe) -> None:
    """Refuse what slime cannot do: it has one mask and one advantage per answer.

    Raises:
        ConfigError: names the choices that it needs.
    """
    needed = [("mask_mode", "loss")] * (recipe.mask_mode != "loss")
    needed += [("weights", "false")] * recipe.weights
    if needed:
        raise ConfigError(
            f"slime has no loss for the recipe {recipe.name}: it takes one advantage per answer.",
            hint="Add: " + " ".join(f"--choice {name}={value}" for name, value in needed),
        )


TABLE = ExportTable(
    name="slime",
    description="examples for slime: pictures as data URIs, numbers in metadata",
    list_fields=list_slime_fields,
    make_columns=make_slime,
    mask_column=None,
    made_of="examples",
    recipe="df+whole",
    check_recipe=check_recipe,
    changes=(("mask_mode", "loss"),),
    takes=("recipe", "temperature"),
    usage='--input-key prompt --multimodal-keys \'{{"image": "images"}}\' --metadata-key metadata '
    "--apply-chat-template --n-samples-per-prompt 1",
    on_hub=False,
)
