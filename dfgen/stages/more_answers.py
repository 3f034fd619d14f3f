"""Finds the answers that a source has by now of prompts that a run has with fewer.

They become further samples of these prompts, after those there are, and nothing that was made of
those is touched. Answers are told apart by their text alone: where they stand says nothing, since
another file may come to stand before the one that was read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from dfgen.prompts.importing import ImportedGroup, ImportedResponse
from dfgen.prompts.temp_records import TempRecords
from dfgen.records import Prompt, split_trajectory_id
from dfgen.store.growing import KnownRows, is_said_alike
from dfgen.store.run import Run


@dataclass(frozen=True)
class MoreAnswers:
    """Answers that a run lacks, of a prompt that it has.

    Attributes:
        prompt: as the source has it, without its pictures.
        first: sample_index of the first of them.
        answers: in the order of the source.
    """

    prompt: Prompt
    first: int
    answers: list[ImportedResponse]


@dataclass(frozen=True, slots=True)
class _Kept:
    """A group in the temporary file, and the row of its prompt among those of its shard."""

    row: int
    prompt: int
    answers: list[int]


class DifferingGroups:
    """Groups that the run has otherwise, in a temporary file until the source was read.

    Args:
        run: as it is.
        known: its prompts.
    """

    def __init__(self, run: Run, known: KnownRows) -> None:
        self._run = run
        self._known = known
        self._records = TempRecords()
        self._by_shard: dict[int, list[_Kept]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._records.__exit__(kind, error, trace)

    def add(self, group: ImportedGroup) -> None:
        """Take in a group whose prompt the run has. Raises `StorageError`."""
        prompt, answers = group
        place = self._known.find(prompt.prompt_id)
        record = self._records.append(prompt.model_copy(update={"images": []}))
        kept = _Kept(place.row, record, [self._records.append(each) for each in answers])
        self._by_shard.setdefault(place.shard, []).append(kept)

    def iter_more(self) -> Iterator[tuple[int, list[MoreAnswers]]]:
        """Yield what the run lacks, shard by shard.

        A group that has all that the run has, and of whose prompt nothing else differs, counts as
        the same from then on, whether it has more or only another order.

        Raises:
            StorageError: a file of the run cannot be read.
        """
        for shard, groups in sorted(self._by_shard.items()):
            there = _read_answers(self._run, shard)
            columns = [name for name in Prompt.model_fields if name != "images"]
            prompts = self._run.table("prompts").read(shard, columns)
            found = []
            for kept in groups:
                prompt = self._records.load(kept.prompt, Prompt)
                answers = [self._records.load(each, ImportedResponse) for each in kept.answers]
                old = there.get(prompt.prompt_id, {})
                more = choose_more(old, answers)
                row = prompts.slice(kept.row, 1).to_pylist()[0]
                if more is None or not is_said_alike(row, prompt):
                    continue
                self._known.accept(prompt.prompt_id)
                if more:
                    found.append(MoreAnswers(prompt, max(old, default=-1) + 1, more))
            if found:
                yield shard, found


def choose_more(
    there: dict[int, str | None], answers: Sequence[ImportedResponse]
) -> list[ImportedResponse] | None:
    """Choose the answers that are not there yet.

    Args:
        there: sample_index -> text of the run's answers; None: it was refused, and nobody has kept
            its text.
        answers: of the source, all that it has of the prompt.

    Returns:
        In order; None: some that are there are not among them. Refused ones are known by their
        places, so that the source must begin with what is there, as it was.
    """
    if None in there.values():
        before = zip(sorted(there), answers, strict=False)
        if len(answers) < len(there) or any(
            there[index] not in (None, answer.text) for index, answer in before
        ):
            return None
        return list(answers[len(there) :])
    left = Counter(there.values())
    more = []
    for answer in answers:
        if left[answer.text]:
            left[answer.text] -= 1
        else:
            more.append(answer)
    return None if left.total() else more


def _read_answers(run: Run, shard: int) -> dict[str, dict[int, str | None]]:
    """The answers of each prompt of a shard, refused ones as None."""
    found: dict[str, dict[int, str | None]] = {}
    rejects = run.rejects("sample")
    for row in rejects.iter_rows(shard, ["row_id"]) if rejects.exists(shard) else ():
        name, index = split_trajectory_id(row["row_id"])
        found.setdefault(name, {})[index] = None
    columns = ["prompt_id", "sample_index", "completion"]
    for row in run.table("trajectories").iter_rows(shard, columns):
        found.setdefault(row["prompt_id"], {})[row["sample_index"]] = row["completion"]
    return found
