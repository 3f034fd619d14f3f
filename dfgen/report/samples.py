"""Brings together what the tables of a run know about single answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from dfgen.store.prompt_finder import PromptFinder

if TYPE_CHECKING:
    import pyarrow as pa

    from dfgen.store.finished import FinishedRun
    from dfgen.store.run import Run
    from dfgen.store.shards import ShardTable

PROMPT_COLUMNS = (
    *("prompt_id", "source_id", "question", "choices", "answer", "answer_type", "source"),
    *("metadata", "solution", "image_info"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One trajectory with all that belongs to it; rows are dictionaries as stored.

    Attributes:
        mask: its row of the masks.
        prompt: question, answer, pictures; without pictures if they were not asked for, and with
            empty texts if the run does not hold it.
        verdict: what the grader said of the completion, None if it is not on record.
        repair: the accepted repair with all attempts, or None.
        reject: why there is no repair (a wrong answer), or None.
        group: sample_index -> reward of all trajectories of the prompt.
        members: sample_index -> what a group shows at a glance of each of them; see
            `gather_members`.
    """

    mask: Mapping[str, Any]
    prompt: Mapping[str, Any]
    verdict: Mapping[str, Any] | None
    repair: Mapping[str, Any] | None
    reject: Mapping[str, Any] | None
    group: Mapping[int, float]
    members: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """All attempts at a repair, in order."""
        if self.repair is not None:
            return list(self.repair["attempts"])
        if self.reject is not None:
            return list(json.loads(self.reject["evidence"]).get("attempts", []))
        return []


def gather_samples(
    finished: FinishedRun, wanted: Collection[str], *, pictures: bool = True
) -> Iterator[Sample]:
    """Yield the trajectories with these ids, in the order of the run.

    A shard of each table is read at a time; shards without a wanted row are left alone.
    """
    masks = finished.run.table("masks")
    finder = PromptFinder(finished.prompts)
    columns = [*PROMPT_COLUMNS, "images"] if pictures else list(PROMPT_COLUMNS)
    for shard in masks.shards():
        rows = masks.iter_rows(shard, ["trajectory_id", "prompt_id"])
        asked = {row["prompt_id"]: None for row in rows if row["trajectory_id"] in wanted}
        if asked:
            prompts = finder.find(list(asked), shard, columns).to_pylist()
            yield from gather_shard(finished.run, shard, wanted, prompts)


def gather_shard(
    run: Run, shard: int, wanted: Collection[str], prompts: Sequence[Mapping[str, Any]]
) -> Iterator[Sample]:
    """Yield the trajectories of one shard with these ids; `prompts` are those that they answer."""
    masks = list(run.table("masks").iter_rows(shard, where=_pick("trajectory_id", wanted)))
    prompt_ids = {row["prompt_id"] for row in masks}
    known = {row["prompt_id"]: row for row in prompts}
    verdicts: dict[str, dict[str, Any]] = {}
    groups: dict[str, dict[int, float]] = {}
    columns = ["trajectory_id", "prompt_id", "sample_index", "reward", "verdict", "model"]
    chosen = _pick("prompt_id", prompt_ids)
    for row in _read(run.table("trajectories"), shard, columns, chosen):
        verdicts[row["trajectory_id"]] = {**row["verdict"], "model": row["model"]}
        groups.setdefault(row["prompt_id"], {})[row["sample_index"]] = row["reward"]
    members = gather_members(run, shard, prompt_ids)
    repairs = _index(run.table("repairs"), shard, "trajectory_id", wanted)
    rejects = _index(run.rejects("repair"), shard, "row_id", wanted)
    for mask in masks:
        name, prompt_id = mask["trajectory_id"], mask["prompt_id"]
        yield Sample(
            mask=mask,
            prompt=known.get(prompt_id, {"prompt_id": prompt_id, "question": "", "answer": ""}),
            verdict=verdicts.get(name),
            repair=repairs.get(name),
            reject=rejects.get(name),
            group=groups.get(prompt_id, {}),
            members={
                index: {**member, "said": (verdicts.get(member["id"]) or {}).get("extracted")}
                for index, member in members.get(prompt_id, {}).items()
            },
        )


def gather_members(
    run: Run, shard: int, prompt_ids: Collection[str]
) -> dict[str, dict[int, dict[str, Any]]]:
    """Read what a group shows at a glance: prompt_id -> sample_index -> one of its trajectories.

    Each has `id`, `source` (of its mask), `tokens` (T), `mask` (where runs of masked tokens begin
    and end, in pairs) and `edits` (wrong and right text of each edit in the mask).
    """
    columns = ["trajectory_id", "prompt_id", "sample_index", "mask_source", "loss_mask", "hunks"]
    found: dict[str, dict[int, dict[str, Any]]] = {}
    chosen = _pick("prompt_id", prompt_ids)
    for row in run.table("masks").iter_rows(shard, columns, chosen):
        hunks = json.loads(row["hunks"]) if row["hunks"] else []
        found.setdefault(row["prompt_id"], {})[row["sample_index"]] = {
            "id": row["trajectory_id"],
            "source": row["mask_source"],
            "tokens": len(row["loss_mask"]),
            "mask": _find_runs(row["loss_mask"]),
            "edits": [
                [hunk["wrong_text"], hunk["right_text"]] for hunk in hunks if hunk["in_mask"]
            ],
        }
    return found


def _find_runs(flags: Sequence[bool]) -> list[int]:
    """Begin and end of every run of true flags, in pairs."""
    edges = pairwise([False, *flags, False])
    return [place for place, (before, after) in enumerate(edges) if before != after]


def _pick(name: str, wanted: Collection[str]) -> Callable[[pa.RecordBatch], pa.Array]:
    """A filter of batches by the value of a column."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    # pa.array() would import pandas, which takes longer than all the rest of `dfgen inspect`.
    texts = [text.encode() for text in sorted(wanted)]
    ends = np.cumsum([0, *map(len, texts)]).astype(np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(texts))]
    values = pa.Array.from_buffers(pa.string(), len(texts), buffers)
    return lambda batch: pc.is_in(batch.column(name), value_set=values)


def _read(
    table: ShardTable,
    shard: int,
    columns: Sequence[str] | None,
    where: Callable[[pa.RecordBatch], pa.Array],
) -> Iterator[dict[str, Any]]:
    if table.exists(shard):
        yield from table.iter_rows(shard, columns, where)


def _index(
    table: ShardTable, shard: int, key: str, wanted: Collection[str]
) -> dict[str, dict[str, Any]]:
    return {row[key]: row for row in _read(table, shard, None, _pick(key, wanted))}
