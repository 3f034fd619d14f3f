"""Brings together what the tables of a run know about single answers."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dfgen.store.prompt_finder import PromptFinder

if TYPE_CHECKING:
    from dfgen.store.finished import FinishedRun
    from dfgen.store.run import Run
    from dfgen.store.shards import ShardTable


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
    """

    mask: Mapping[str, Any]
    prompt: Mapping[str, Any]
    verdict: Mapping[str, Any] | None
    repair: Mapping[str, Any] | None
    reject: Mapping[str, Any] | None
    group: Mapping[int, float]

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
    columns = ["prompt_id", "source_id", "question", "choices", "answer", "answer_type", "source"]
    columns += ["images"] if pictures else []
    for shard in masks.shards():
        rows = masks.iter_rows(shard, ["trajectory_id", "prompt_id"])
        asked = {row["prompt_id"]: None for row in rows if row["trajectory_id"] in wanted}
        if asked:
            prompts = finder.find(list(asked), shard, columns).to_pylist()
            yield from _gather_shard(finished.run, shard, wanted, prompts)


def _gather_shard(
    run: Run, shard: int, wanted: Collection[str], prompts: Sequence[Mapping[str, Any]]
) -> Iterator[Sample]:
    masks = [row for row in run.table("masks").iter_rows(shard) if row["trajectory_id"] in wanted]
    prompt_ids = {row["prompt_id"] for row in masks}
    known = {row["prompt_id"]: row for row in prompts}
    verdicts: dict[str, dict[str, Any]] = {}
    groups: dict[str, dict[int, float]] = {}
    columns = ["trajectory_id", "prompt_id", "sample_index", "reward", "verdict", "model"]
    for row in _read(run.table("trajectories"), shard, columns):
        if row["prompt_id"] in prompt_ids:
            verdicts[row["trajectory_id"]] = {**row["verdict"], "model": row["model"]}
            groups.setdefault(row["prompt_id"], {})[row["sample_index"]] = row["reward"]
    repairs = _index(_read(run.table("repairs"), shard), "trajectory_id", wanted)
    rejects = _index(_read(run.rejects("repair"), shard), "row_id", wanted)
    for mask in masks:
        name, prompt_id = mask["trajectory_id"], mask["prompt_id"]
        yield Sample(
            mask=mask,
            prompt=known.get(prompt_id, {"prompt_id": prompt_id, "question": "", "answer": ""}),
            verdict=verdicts.get(name),
            repair=repairs.get(name),
            reject=rejects.get(name),
            group=groups.get(prompt_id, {}),
        )


def _read(
    table: ShardTable, shard: int, columns: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    if table.exists(shard):
        yield from table.iter_rows(shard, columns)


def _index(
    rows: Iterator[dict[str, Any]], key: str, wanted: Collection[str]
) -> dict[str, dict[str, Any]]:
    return {row[key]: row for row in rows if row[key] in wanted}
