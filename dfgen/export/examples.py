"""Makes training examples of a run for the tables that carry them: by `dfgen.trainers`, not anew.

The groups of a run are handed to the reader of trainers as if they lay in files, so a table says
exactly what `make_examples` would make of the table `groups`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dfgen.export.columns import RENAMED
from dfgen.trainers.building import Reader

if TYPE_CHECKING:
    import pyarrow as pa

    from dfgen.export.choices import Choices
    from dfgen.store.finished import FinishedRun
    from dfgen.trainers.example import Example
    from dfgen.trainers.recipe import Recipe

PART_BYTES = 16 * 1024 * 1024
"""Pictures, one copy for each example, at which a part of a table ends."""

PART_GROUPS = 256


@dataclass(frozen=True)
class ExamplePart:
    """Examples of some prompts, to be made into rows.

    Attributes:
        groups: the examples of one prompt each; a repair follows the answer it repairs.
        recipe: what they were made by.
        temperature: of their log-probs.
        tokenizer_sha256: of the tokenizer of all ids.
        data_source: what trainers are told the rows come from.
    """

    groups: Sequence[Sequence[Example]]
    recipe: Recipe
    temperature: float
    tokenizer_sha256: str
    data_source: str

    @cached_property
    def examples(self) -> list[Example]:
        """All of them, in order."""
        return [example for group in self.groups for example in group]


@dataclass(frozen=True)
class RunGroups:
    """The groups of a run as a source of `dfgen.trainers` (compare `GroupSource`).

    Attributes:
        finished: the run.
        name: of it, for messages.
        tokenizer_sha256: of the tokenizer of all ids.
        origin: how the data was made.
        tables: makes the groups, a table per shard, anew each time.
    """

    finished: FinishedRun
    name: str
    tokenizer_sha256: str
    origin: dict[str, Any]
    tables: Callable[[], Iterator[pa.Table]]

    def read_batches(
        self, columns: Sequence[str], nested: Sequence[str]
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Yield all groups, a batch per shard; what is not asked for is there as well."""
        del columns, nested
        for table in self.tables():
            yield from ((self.name, batch) for batch in table.combine_chunks().to_batches())

    def find_nested(self) -> set[str]:
        """Find the columns of masks that hold any value at all."""
        table = self.finished.run.table("masks")
        found: set[str] = set()
        for number in table.shards():
            found |= table.find_filled(number, found)
        return {RENAMED.get(name, name) for name in found}


def iter_parts(
    source: RunGroups, choices: Choices, say: Callable[[str], None]
) -> Iterator[ExamplePart]:
    """Yield the examples of a run in parts of bounded size.

    Args:
        source: the run's groups.
        choices: recipe and temperature.
        say: told what the gradient is made of.

    Raises:
        InputError: log-probs at this temperature are not there.
    """
    assert choices.recipe is not None
    temperature = choices.temperature or 1.0
    reader = Reader.open([(source, 0)], choices.recipe, None, temperature, True, False)
    say(reader.describe())

    def make_part(groups: list[list[Example]]) -> ExamplePart:
        assert choices.recipe is not None
        data_source = f"dfgen/{source.finished.pipeline.name}"
        sha256 = source.tokenizer_sha256
        return ExamplePart(groups, choices.recipe, temperature, sha256, data_source)

    groups: list[list[Example]] = []
    size = 0
    for group in reader.iter_groups():
        groups.append(group)
        size += len(group) * sum(len(image["bytes"] or b"") for image in group[0].images)
        if size >= PART_BYTES or len(groups) >= PART_GROUPS:
            yield make_part(groups)
            groups, size = [], 0
    if groups:
        yield make_part(groups)
