"""Compares a source with the prompts that a run has, row by row: what is new, what is not there.

A run grows by whole shards. Shards that are finished stay as they are, a last one that is not full,
too; rows of the source that the run does not have become new shards after them.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dfgen.records import Prompt, Reject, make_trajectory_id, split_trajectory_id
from dfgen.store.entries import SourceRows
from dfgen.store.layout import Stage
from dfgen.store.row_index import DIGEST_BYTES, KEY_BYTES, Found, RowIndex
from dfgen.store.run import Run
from dfgen.store.shards import ShardTable
from dfgen.terminal_text import show_line

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

SHOWN = 20
"""Prompts that the manifest names one by one."""

SHOWN_CHARS = 60
"""Of a question, in messages."""

_IDENTITY = ("prompt_id", "question", "choices", "answer", "images", "image_info")
_SAID = tuple(name for name in Prompt.model_fields if name not in (*_IDENTITY, "source"))
"""Columns that equal ids leave open. Where a row stands is no part of what it says."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row of a table lies."""

    shard: int
    row: int


class KnownRows:
    """Prompts and rejects that a run has, in memory by hashes alone: 40 bytes each at most.

    Args:
        run: as it is.
        shards: of prompts, finished ones.
        with_answers: the prompts came with their answers, which are compared, too.
        doubted_from: the first shard whose rejects may be prompts of the run; None: none has any.

    Raises:
        StorageError: a file cannot be read.
    """

    def __init__(
        self,
        run: Run,
        shards: Sequence[int],
        *,
        with_answers: bool = False,
        doubted_from: int | None = None,
    ) -> None:
        self._refused_answers = _list_refused(run, shards) if with_answers else set()
        self._prompts = _Indexed(run.table("prompts"), shards)
        for shard in self._prompts.shards:
            answers = _hash_answers(run, shard) if with_answers else {}
            for row in run.table("prompts").iter_rows(shard, ("prompt_id", *_SAID)):
                name = row["prompt_id"]
                said = _hash_said(row, answers.get(name))
                self._prompts.index.add(bytes.fromhex(name), said)
        self._rejects = _Indexed(run.rejects("prompts"), shards)
        for row in self._rejects.iter_rows(("row_id", "reason", "prompt_id")):
            self._rejects.index.add(_hash_place(row["row_id"]), _hash_refusal(row))
        self._doubted = {
            _hash_place(row["row_id"])
            for shard in self._rejects.shards
            if doubted_from is not None and shard >= doubted_from
            for row in run.rejects("prompts").iter_rows(shard, ["row_id"])
        }

    @property
    def prompts(self) -> int:
        """How many prompts the run has."""
        return len(self._prompts.index)

    @property
    def any_met(self) -> bool:
        """Whether the source has any prompt of the run, as it is or changed."""
        return self._prompts.index.any_met

    @property
    def first(self) -> Place:
        """The first prompt of the run; there must be one."""
        return self._prompts.locate([0])[0]

    def meet(self, row: Prompt | Reject, answers: Sequence[str] | None = None) -> Found:
        """Note that a row stands in the source, and say whether the run has it.

        A prompt is changed if the run has it with another solution, metadata, ..., or with other
        answers; a reject, if its row was refused for another reason.

        Args:
            answers: that the prompt came with, if it came with any.
        """
        if isinstance(row, Reject):
            values = {"reason": row.reason, "prompt_id": row.prompt_id}
            return self._rejects.index.meet(_hash_place(row.row_id), _hash_refusal(values))
        self._rejects.index.meet(_hash_place(row.source), None)  # once a reject, now a prompt
        said = {name: getattr(row, name) for name in _SAID}
        key, hashed = bytes.fromhex(row.prompt_id), None
        if answers is not None:
            hashed = _start_hash()
            for index, text in enumerate(answers):
                name = make_trajectory_id(row.prompt_id, index)
                # Of an answer that was refused only its place is known.
                _add_answer(hashed, index, None if name in self._refused_answers else text)
        return self._prompts.index.meet(key, _hash_said(said, hashed))

    def find(self, prompt_id: str) -> Place:
        """Return where a prompt lies that the run has."""
        return self._prompts.locate(self._prompts.index.find(bytes.fromhex(prompt_id))[:1])[0]

    def accept(self, prompt_id: str) -> None:
        """Note that the source has a prompt as the run has it, though its answers differ."""
        self._prompts.index.accept(bytes.fromhex(prompt_id))

    def is_doubted(self, row: Reject) -> bool:
        """Say whether a reject on record may be a prompt of the run that its source lacks."""
        return _hash_place(row.row_id) in self._doubted

    def list_changed(self) -> list[Place]:
        """Return the prompts that the source has with another solution, metadata, ..."""
        return self._prompts.locate(self._prompts.index.list_changed())

    def list_missing(self) -> list[Place]:
        """Return the prompts that the source does not have; asked when it was read to its end."""
        return self._prompts.locate(self._prompts.index.list_unmet())

    def list_stale_rejects(self, *, complete: bool) -> list[Place]:
        """Return the rejects that no longer hold: their row is gone, or is something else now.

        Args:
            complete: the source was read to its end; otherwise nobody knows which rows are gone.
        """
        index = self._rejects.index
        stale = index.list_changed() + (index.list_unmet() if complete else [])
        return self._rejects.locate(sorted(stale))


class _Indexed:
    """The rows of some shards of a table, and an index of them in the same order."""

    def __init__(self, table: ShardTable, shards: Sequence[int]) -> None:
        self._table = table
        self.shards = [shard for shard in shards if table.exists(shard)]
        self._starts = [0]
        for shard in self.shards:
            self._starts.append(self._starts[-1] + table.num_rows(shard))
        self.index = RowIndex(self._starts[-1])

    def iter_rows(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        for shard in self.shards:
            yield from self._table.iter_rows(shard, columns)

    def locate(self, places: Iterable[int]) -> list[Place]:
        found = []
        for place in places:
            i = bisect_right(self._starts, place) - 1
            found.append(Place(self.shards[i], place - self._starts[i]))
        return found


def list_finished(run: Run, stages: Sequence[Stage] = ("prompts",)) -> list[int]:
    """Return the shards of prompts that are finished: there, and noted so.

    A crash between a shard and its note leaves one that is written again. Shards of an earlier
    dfgen, which kept no notes, get theirs when the stage is done.

    Args:
        stages: that are written from the rows of the source.
    """
    return [
        shard
        for shard in run.output("prompts").shards()
        if all(
            run.output(each).exists(shard) and run.entry(each, shard) is not None for each in stages
        )
    ]


def iter_free(
    run: Run, stages: Sequence[Stage] = ("prompts",)
) -> Iterator[tuple[int, SourceRows | None]]:
    """Yield the numbers of the next shards of prompts, for ever.

    Shards whose files somebody took away come first, with how many rows they were made of.

    Args:
        stages: that are written from the rows of the source.
    """
    finished = set(list_finished(run, stages))
    number = 0
    while True:
        if number not in finished:
            entry = run.entry("prompts", number)
            yield number, None if entry is None else entry.source
        number += 1


def describe_places(run: Run, places: Sequence[Place]) -> dict[str, Any]:
    """Describe prompts for the manifest: how many, and the first of them by row and question.

    Raises:
        StorageError: a file cannot be read.
    """
    return {"count": len(places), "shown": [show_prompt(run, each) for each in places[:SHOWN]]}


def show_prompt(run: Run, place: Place) -> str:
    """Name a prompt for people: its row, its own id if it has one, how its question begins.

    Raises:
        StorageError: its file cannot be read.
    """
    row = run.table("prompts").read(place.shard, ["source", "source_id", "question"])
    values = row.slice(place.row, 1).to_pylist()[0]
    name = "" if values["source_id"] is None else f" (id {show_line(values['source_id'], 80)})"
    question = show_line(values["question"], SHOWN_CHARS)
    return f"{show_line(values['source'], 200)}{name}: {question}"


def is_said_alike(row: Mapping[str, Any], prompt: Prompt) -> bool:
    """Say whether a row of the run's prompts and a prompt of the same id have the same solution,
    metadata, ..."""
    said = {name: getattr(prompt, name) for name in _SAID}
    return _hash_said(row) == _hash_said(said)


def _list_refused(run: Run, shards: Sequence[int]) -> set[str]:
    """Answers that were refused, by trajectory_id."""
    ledger = run.rejects("sample")
    return {
        row["row_id"]
        for shard in shards
        if ledger.exists(shard)
        for row in ledger.iter_rows(shard, ["row_id"])
    }


def _hash_answers(run: Run, shard: int) -> dict[str, Hash]:
    """Hash the answers of each prompt of a shard, those that were refused by their place alone."""
    cells: list[tuple[str, int, str | None]] = [
        (*split_trajectory_id(name), None) for name in _list_refused(run, [shard])
    ]
    columns = ["prompt_id", "sample_index", "completion"]
    for row in run.table("trajectories").iter_rows(shard, columns):
        cells.append((row["prompt_id"], row["sample_index"], row["completion"]))
    hashes: dict[str, Hash] = {}
    for name, index, text in sorted(cells, key=lambda cell: cell[:2]):
        _add_answer(hashes.setdefault(name, _start_hash()), index, text)
    return hashes


def _start_hash() -> Hash:
    return hashlib.sha256()


def _add_answer(hashed: Hash, index: int, text: str | None) -> None:
    hashed.update(json.dumps([index, text]).encode() + b"\n")


def _hash_said(row: Mapping[str, Any], answers: Hash | None = None) -> bytes:
    # Nulls do not count, so that a column which a later dfgen adds changes no prompt.
    said = {name: row[name] for name in _SAID if row[name] is not None}
    text = json.dumps(said, sort_keys=True) + (answers.hexdigest() if answers else "")
    return _hash(text, DIGEST_BYTES)


def _hash_refusal(row: Mapping[str, Any]) -> bytes:
    # Not the detail: other versions of a library word it otherwise.
    return _hash(json.dumps([row["reason"], row["prompt_id"]]), DIGEST_BYTES)


def _hash_place(row_id: str) -> bytes:
    return _hash(row_id, KEY_BYTES)


def _hash(text: str, size: int) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:size]
