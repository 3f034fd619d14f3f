"""Reads the first rows of what a run is made from, to look at before it begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from dfgen.reasons.tally import ReasonTally
from dfgen.records import Prompt, Reject

if TYPE_CHECKING:
    from dfgen.config.pipeline import Pipeline
    from dfgen.stages.growth import Row
    from dfgen.store.run import Run


@dataclass(frozen=True)
class FirstRows:
    """What the first rows of a source became.

    Attributes:
        prompts: those that can be asked; of imported answers and pairs the questions.
        answers: imported answers to the first prompts, in their order; else empty.
        refused: the rejects among the rows, by reason.
        new: whether these are rows that a run lacks which has others.
    """

    prompts: list[Prompt] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    refused: ReasonTally = field(default_factory=ReasonTally)
    new: bool = False

    @property
    def read(self) -> int:
        """Rows that were read."""
        return len(self.prompts) + self.refused.total

    def explain(self) -> str:
        """Say that none became a prompt, and why."""
        new = "new " if self.new else ""
        return (
            f"none of the first {self.read:,} {new}rows became a prompt: {self.refused.describe()}."
        )

    def add(self, row: Prompt | Reject, answers: Sequence[str] = ()) -> None:
        """Take in a row, with the answers that came with it."""
        if isinstance(row, Reject):
            self.refused.add(row.reason, row.row_id, row.detail)
        else:
            self.prompts.append(row)
            self.answers.extend(answers)


def read_first_rows(pipeline: Pipeline, count: int, run: Run | None = None) -> FirstRows:
    """Read at most `count` rows.

    Args:
        pipeline: the effective settings.
        count: rows; a source may hold millions.
        run: the run; when it has read its source to the end, its own prompts are taken.

    Raises:
        InputError: the source cannot be opened or read on, or lacks a column.
        StorageError: the run's own prompts cannot be read.
    """
    found = FirstRows()
    if run is not None and run.manifest.get_stage("prompts").state == "done":
        rows = run.table("prompts").iter_rows()
        found.prompts.extend(Prompt.model_validate(row) for row in islice(rows, count))
        return found
    for prompt, answers in islice(_iter_rows(pipeline, count), count):
        found.add(prompt, answers)
    return found


def collect_new_rows(rows: Iterable[Row]) -> FirstRows:
    """Collect rows that a run lacks (`dfgen.stages.growth.read_new_rows`)."""
    found = FirstRows(new=True)
    for row in rows:
        if isinstance(row, tuple):
            found.add(row[0], [answer.text for answer in row[1][:1]])
        else:
            found.add(row)
    return found


def _iter_rows(pipeline: Pipeline, count: int) -> Iterator[tuple[Prompt | Reject, list[str]]]:
    """Rows of whatever source a pipeline has, with the answers that come with them."""
    if pipeline.imports is not None:
        from dfgen.prompts.importing import read_trajectories

        # Answers are grouped by their prompts, which takes a source to its end.
        limit = min(count, pipeline.imports.limit or count)
        for row in read_trajectories(pipeline.imports.model_copy(update={"limit": limit})):
            if isinstance(row, Reject):
                yield row, []
            else:
                yield row[0], [answer.text for answer in row[1][:1]]
    elif pipeline.pairs is not None:
        from dfgen.prompts.pairs import read_pairs

        for pair in read_pairs(pipeline.pairs):
            yield (pair if isinstance(pair, Reject) else pair.prompt), []
    elif pipeline.prompts is not None:
        from dfgen.prompts.reading import read_prompts

        # Read to an end, because what a source may not hold is told there.
        limit = min(count, pipeline.prompts.limit or count)
        for prompt in read_prompts(pipeline.prompts.model_copy(update={"limit": limit})):
            yield prompt, []
