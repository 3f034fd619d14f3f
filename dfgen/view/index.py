"""Reads what lists, filters and plots of the page need of a shard: some columns, no long texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dfgen.records import is_right
from dfgen.report.page_data import describe_row, read_metadata, turn_to_columns
from dfgen.report.samples import Sample
from dfgen.report.thumbnails import EXACT_SIDE
from dfgen.store.prompt_finder import PromptFinder

if TYPE_CHECKING:
    import pyarrow as pa

    from dfgen.store.finished import FinishedRun
    from dfgen.store.shards import ShardTable

SNIPPET = 240
"""Characters of a question in a list."""

_MASK_COLUMNS = (
    *("trajectory_id", "source_id", "prompt_id", "sample_index", "mask_source", "hunks"),
    *("step_roles", "quality", "first_error_step", "finish_reason", "metadata"),
)
_PROMPT_COLUMNS = ("prompt_id", "question", "source", "metadata", "image_info")


def index_shard(finished: FinishedRun, shard: int) -> dict[str, Any]:
    """Describe the trajectories of a shard as the page's lists know them.

    Returns:
        `prompts`: one entry for each question; `rows`: columns, see `describe_row`.

    Raises:
        StorageError: the shard is not there, or cannot be read.
    """
    run = finished.run
    masks = _read_masks(run.table("masks"), shard)
    groups, verdicts = _read_answers(run.table("trajectories"), shard)
    repairs = _read_repairs(run.table("repairs"), shard)
    rejects = _read_by(run.rejects("repair"), shard, "row_id", ["row_id", "reason", "evidence"])
    ids = list(dict.fromkeys(row["prompt_id"] for row in masks))
    found = PromptFinder(finished.prompts).find(ids, shard, _PROMPT_COLUMNS).to_pylist()
    prompts = {row["prompt_id"]: row for row in found}
    numbers = {name: number for number, name in enumerate(ids)}
    rows = []
    for mask in masks:
        name, prompt_id = mask["trajectory_id"], mask["prompt_id"]
        sample = Sample(
            mask=mask,
            prompt=prompts.get(prompt_id, {}),
            verdict=verdicts.get(name),
            repair=repairs.get(name),
            reject=rejects.get(name),
            group=groups.get(prompt_id, {}),
        )
        rows.append(describe_row(sample, numbers[prompt_id]))
    asked = [_describe_prompt(name, prompts.get(name, {}), groups.get(name, {})) for name in ids]
    return {"prompts": asked, "rows": turn_to_columns(rows)}


def _describe_prompt(
    name: str, prompt: Mapping[str, Any], group: Mapping[int, float]
) -> dict[str, Any]:
    sizes = [(info["width"], info["height"]) for info in prompt.get("image_info") or ()]
    return {
        "id": name,
        "question": prompt.get("question", "")[:SNIPPET],
        "answer": "",
        "choices": [],
        "source": prompt.get("source", ""),
        "metadata": read_metadata(prompt.get("metadata")),
        "pictures": [
            {"name": "", "width": wide, "height": high, "exact": max(wide, high) <= EXACT_SIDE}
            for wide, high in sizes
        ],
        "group": [
            {"sample": index, "right": is_right(reward)} for index, reward in sorted(group.items())
        ],
    }


def _read_masks(table: ShardTable, shard: int) -> list[dict[str, Any]]:
    """The narrow rows, with `tokens` and `masked` counted by Arrow: lists of flags stay there."""
    whole = table.read(shard, [*_MASK_COLUMNS, "loss_mask"]).combine_chunks()
    rows: list[dict[str, Any]] = whole.select(list(_MASK_COLUMNS)).to_pylist()
    if rows:
        for row, (tokens, masked) in zip(rows, _count_flags(whole["loss_mask"]), strict=True):
            row |= {"tokens": tokens, "masked": masked}
    return rows


def _count_flags(lists: pa.ChunkedArray) -> list[tuple[int, int]]:
    import numpy as np
    import pyarrow.compute as pc

    ends = np.cumsum(pc.list_value_length(lists).to_numpy())
    flags = pc.list_flatten(lists).to_numpy(zero_copy_only=False)
    sums = np.concatenate([[0], np.cumsum(flags, dtype=np.int64)])
    starts = np.concatenate([[0], ends[:-1]])
    masked = sums[ends] - sums[starts]
    return list(zip((ends - starts).tolist(), masked.tolist(), strict=True))


def _read_answers(
    table: ShardTable, shard: int
) -> tuple[dict[str, dict[int, float]], dict[str, dict[str, Any]]]:
    """Rewards by prompt and sample, and verdicts by trajectory."""
    groups: dict[str, dict[int, float]] = {}
    verdicts: dict[str, dict[str, Any]] = {}
    columns = ["trajectory_id", "prompt_id", "sample_index", "reward", "verdict"]
    if table.exists(shard):
        for row in table.read(shard, columns).to_pylist():
            groups.setdefault(row["prompt_id"], {})[row["sample_index"]] = row["reward"]
            verdicts[row["trajectory_id"]] = row["verdict"]
    return groups, verdicts


def _read_repairs(table: ShardTable, shard: int) -> dict[str, dict[str, Any]]:
    """The model and what each attempt cost; the texts of the attempts stay in Arrow."""
    import pyarrow.compute as pc

    if not table.exists(shard):
        return {}
    whole = table.read(shard, ["trajectory_id", "model", "attempts"]).combine_chunks()
    costs = iter(pc.struct_field(pc.list_flatten(whole["attempts"]), "cost_usd").to_pylist())
    counts = pc.list_value_length(whole["attempts"]).to_pylist()
    rows = whole.select(["trajectory_id", "model"]).to_pylist()
    return {
        row["trajectory_id"]: {
            "model": row["model"],
            "attempts": [{"cost_usd": next(costs)} for _ in range(count)],
        }
        for row, count in zip(rows, counts, strict=True)
    }


def _read_by(
    table: ShardTable, shard: int, key: str, columns: list[str]
) -> dict[str, dict[str, Any]]:
    if not table.exists(shard):
        return {}
    return {row[key]: row for row in table.read(shard, columns).to_pylist()}
