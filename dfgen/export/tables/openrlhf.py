"""`openrlhf`: examples in the four fields that OpenRLHF's loader keeps.

    --data.input_key input --data.image_key images --data.label_key label
    --data.apply_chat_template --rollout.n_samples_per_prompt 8

Everything but prompt and pictures travels as JSON in `label`. A row has as many samples as OpenRLHF
draws per prompt. It subtracts the mean of a row's rewards; the last sample of each row, which has
no token to train on, has minus the sum of the others as its reward, so that the mean is 0 and the
advantages stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dfgen.errors import ConfigError
from dfgen.export.columns import list_source_fields, make_chat_type, make_images_type
from dfgen.export.tables.table import ExportTable, Fields

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dfgen.export.examples import ExamplePart
    from dfgen.trainers.example import Example
    from dfgen.trainers.recipe import Recipe

FORMAT = 1
"""Of `label`, raised when a name in it changes its meaning."""

_NEEDED = (("mask_mode", "loss"), ("right_loss", "ratio"), ("positive_loss", "ratio"))


def list_openrlhf_fields() -> Fields:
    """List the four fields, then what people and digests look at."""
    import pyarrow as pa

    text = pa.string()
    sample = pa.struct(
        [("trajectory_id", text), ("kind", text), ("loss_mask", pa.list_(pa.bool_()))]
    )
    return [
        ("input", make_chat_type()),
        ("images", make_images_type()),
        ("label", text),
        ("datasource", text),
        ("prompt_id", text),
        *list_source_fields(),
        ("samples", pa.list_(sample)),
    ]


def make_openrlhf(part: ExamplePart, *, group_size: int, **_: Any) -> dict[str, Any]:
    """Make one row per prompt, or more where it has more examples than fit into a row.

    Args:
        group_size: samples per row, the counterweight among them; 2 or more.
    """
    rows = list(_split_groups(part.groups, group_size - 1))
    return {
        "input": [row[0].messages for row in rows],
        "images": [row[0].images for row in rows],
        "label": [_write_label(row, part, group_size) for row in rows],
        "datasource": [part.data_source] * len(rows),
        "prompt_id": [row[0].prompt_id for row in rows],
        "source_id": [row[0].source_id for row in rows],
        "metadata": [row[0].metadata for row in rows],
        "samples": [
            [
                {
                    "trajectory_id": example.trajectory_id,
                    "kind": example.kind,
                    "loss_mask": example.loss_mask,
                }
                for example in row
            ]
            for row in rows
        ],
    }


def check_recipe(recipe: Recipe) -> None:
    """Refuse what OpenRLHF cannot do: its loss has one mask, one advantage, and always a ratio.

    Raises:
        ConfigError: names the choices that it needs.
    """
    wrong = [(name, value) for name, value in _NEEDED if getattr(recipe, name) != value]
    if recipe.positives == "none":
        wrong = [(name, value) for name, value in wrong if name != "positive_loss"]
    if recipe.weights:
        wrong.append(("weights", "false"))
    if wrong:
        raise ConfigError(
            f"OpenRLHF has no loss for the recipe {recipe.name}: it multiplies one mask, takes one "
            "advantage per answer, and always has a ratio.",
            hint="Add: " + " ".join(f"--choice {name}={value}" for name, value in wrong),
        )


def find_runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Find the runs of a mask: half-open spans of positions."""
    import numpy as np

    padded = np.concatenate(([False], mask, [False]))
    edges = np.flatnonzero(padded[1:] != padded[:-1]).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def _split_groups(groups: Sequence[Sequence[Example]], most: int) -> Iterator[Sequence[Example]]:
    for group in groups:
        for start in range(0, len(group), most):
            yield group[start : start + most]


def _write_label(row: Sequence[Example], part: ExamplePart, group_size: int) -> str:
    samples = [_describe_sample(example) for example in row]
    weight = -sum(sample["advantage"] for sample in samples)
    samples += [_make_filler("empty", 0.0)] * (group_size - 1 - len(samples))
    samples.append(_make_filler("counterweight", weight))
    return json.dumps(
        {
            "format": FORMAT,
            "tokenizer_sha256": part.tokenizer_sha256,
            "temperature": part.temperature,
            "samples": samples,
        }
    )


def _describe_sample(example: Example) -> dict[str, Any]:
    import numpy as np

    from dfgen.trainers.floats import list_floats

    mask = example.loss_mask
    values = np.unique(example.advantages[mask])
    if len(values) > 1:
        raise ConfigError(
            f"the advantages of {example.trajectory_id} differ from token to token, and OpenRLHF "
            "takes one per answer.",
            hint="Choose a recipe without weights.",
        )
    old = example.old_logprobs
    return {
        "trajectory_id": example.trajectory_id,
        "kind": example.kind,
        "ids": example.ids.tolist(),
        "runs": find_runs(mask),
        "advantage": list_floats(values)[0] if len(values) else 0.0,
        "logprobs": None if old is None else list_floats(np.where(mask, old, np.float32(0))),
        "truncated": example.finish_reason == "length",
    }


def _make_filler(kind: str, advantage: float) -> dict[str, Any]:
    return {
        "trajectory_id": None,
        "kind": kind,
        "ids": [],
        "runs": [],
        "advantage": advantage,
        "logprobs": [],
        "truncated": False,
    }


TABLE = ExportTable(
    name="openrlhf",
    description="examples for OpenRLHF: a prompt's samples as JSON in label",
    list_fields=list_openrlhf_fields,
    make_columns=make_openrlhf,
    mask_column="loss_mask",
    nested_in="samples",
    made_of="examples",
    recipe="df+whole",
    check_recipe=check_recipe,
    changes=(("mask_mode", "loss"), ("positive_loss", "ratio")),
    takes=("recipe", "temperature", "group_size"),
    usage="--data.input_key input --data.image_key images --data.label_key label "
    "--data.apply_chat_template --rollout.n_samples_per_prompt {group_size} "
    "--algo.advantage.estimator dr_grpo "
    "--train.agent_func_path $(python -m dfgen.trainers openrlhf)",
    on_hub=False,
)
