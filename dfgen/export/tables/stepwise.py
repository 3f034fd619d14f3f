"""`stepwise`: answers cut into their steps with a label each, for process reward models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dfgen.export.columns import list_source_fields, make_images_type
from dfgen.export.tables.table import ExportTable, Fields

if TYPE_CHECKING:
    from dfgen.export.shard import Shard

_CUT_FROM = ["completion_text", "token_bytes", "step_ids", "step_labels"]


def list_stepwise_fields() -> Fields:
    """Names are those of TRL's stepwise supervision."""
    import pyarrow as pa

    text = pa.string()
    return [
        ("prompt_id", text),
        ("trajectory_id", text),
        *list_source_fields(),
        ("prompt", text),
        ("completions", pa.list_(text)),
        ("labels", pa.list_(pa.bool_())),
        ("mask_source", text),
        ("images", make_images_type()),
    ]


def make_stepwise(shard: Shard) -> dict[str, Any]:
    """Make one row per answer that is right or repaired.

    Of wrong answers without a repair nobody knows which step was wrong.
    """
    import pyarrow.compute as pc

    shard = shard.filter(pc.not_equal(shard.masks["mask_source"], "outcome"))
    masks = shard.masks
    cut = [cut_steps(**row) for row in masks.select(_CUT_FROM).to_pylist()]
    return {
        "prompt_id": masks["prompt_id"],
        "trajectory_id": masks["trajectory_id"],
        "source_id": masks["source_id"],
        "metadata": masks["metadata"],
        "prompt": [shard.chats[owner].problem for owner in shard.owners],
        "completions": [steps for steps, _ in cut],
        "labels": [labels for _, labels in cut],
        "mask_source": masks["mask_source"],
        "images": shard.spread(shard.prompts["images"]),
    }


def cut_steps(
    completion_text: str,
    token_bytes: Sequence[int],
    step_ids: Sequence[int],
    step_labels: Sequence[bool] | None,
) -> tuple[list[str], list[bool]]:
    """Text and label of every step that has text.

    Args:
        completion_text: the answer.
        token_bytes: length T+1, UTF-8 offsets of its tokens.
        step_ids: length T, ascending.
        step_labels: whether the repair touches each step; None: the whole answer is right.

    Returns:
        The texts, which together are the answer, and whether each step is right. A step without a
        token of its own (its text lies inside its neighbour's token) is left out.
    """
    texts, labels = [], []
    for step, text in cut_text(completion_text, token_bytes, step_ids).items():
        texts.append(text)
        labels.append(step_labels is None or not step_labels[step])
    return texts, labels


def cut_text(
    completion_text: str, token_bytes: Sequence[int], step_ids: Sequence[int]
) -> dict[int, str]:
    """Cut an answer into its steps by number, those that have text; arguments as `cut_steps`."""
    data = completion_text.encode()
    starts = [i for i in range(len(step_ids)) if i == 0 or step_ids[i] != step_ids[i - 1]]
    found = {}
    for start, end in zip(starts, [*starts[1:], len(step_ids)], strict=True):
        text = data[token_bytes[start] : token_bytes[end]].decode(errors="replace")
        if text:
            found[step_ids[start]] = text
    return found


TABLE = ExportTable(
    name="stepwise",
    description="answers cut into steps with a label each, for process reward models",
    list_fields=list_stepwise_fields,
    make_columns=make_stepwise,
    mask_column="labels",
)
