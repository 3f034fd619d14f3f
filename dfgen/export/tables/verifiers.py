"""`verifiers`: examples as message nodes of verifiers 0.4, which prime-rl trains on.

    nodes = [MessageNode.model_validate(node) for node in json.loads(row["nodes"])]

The nodes of the prompt hold no token ids, which depend on the model's processor;
`dfgen.trainers.verifiers` puts them there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dfgen.export.columns import list_source_fields
from dfgen.export.tables.table import ExportTable, Fields

if TYPE_CHECKING:
    from dfgen.export.examples import ExamplePart


def list_verifiers_fields() -> Fields:
    """List names and reward, then the nodes as JSON, pictures as data URIs in them."""
    import pyarrow as pa

    text = pa.string()
    return [
        ("trajectory_id", text),
        ("prompt_id", text),
        *list_source_fields(),
        ("kind", text),
        ("reward", pa.float32()),
        ("nodes", text),
    ]


def make_verifiers(part: ExamplePart, **_: Any) -> dict[str, Any]:
    """Make one row per example."""
    from dfgen.trainers.verifiers import describe_nodes

    examples = part.examples
    return {
        "trajectory_id": [example.trajectory_id for example in examples],
        "prompt_id": [example.prompt_id for example in examples],
        "source_id": [example.source_id for example in examples],
        "metadata": [example.metadata for example in examples],
        "kind": [example.kind for example in examples],
        "reward": [example.reward for example in examples],
        "nodes": [json.dumps(describe_nodes(example)) for example in examples],
    }


TABLE = ExportTable(
    name="verifiers",
    description="examples as message nodes of verifiers, for prime-rl",
    list_fields=list_verifiers_fields,
    make_columns=make_verifiers,
    mask_column=None,
    made_of="examples",
    recipe="df+whole",
    takes=("recipe", "temperature"),
    on_hub=False,
)
