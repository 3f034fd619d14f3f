"""Reads a source into a run that has prompts already: tells new rows from those that are there.

Nothing is written here. `dfgen.stages.ingest` writes what is new; `--dry-run` only counts it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from dfgen.config.prompts import PromptsConfig
from dfgen.errors import RunMismatchError
from dfgen.prompts.temp_records import TempRecords
from dfgen.records import Prompt, Reject
from dfgen.store.growing import KnownRows, Place, list_finished, show_prompt
from dfgen.store.run import Run


@dataclass(frozen=True)
class Findings:
    """How a source stands to the prompts that a run had before it was read.

    Attributes:
        there: prompts of the run.
        new: prompts that the run lacks.
        missing: prompts of the run that the source does not have.
        changed: prompts of the run that the source has with another solution, metadata, ...
        unread: prompts of the run among which nobody knows, because `prompts.limit` cut the source.
        stale_rejects: rejects that no longer hold.
    """

    there: int
    new: int
    missing: list[Place]
    changed: list[Place]
    unread: int
    stale_rejects: list[Place]


class Growth:
    """One reading of a source, compared with the prompts of a run row by row.

    Args:
        run: as it is.
        config: how the source is read.

    Attributes:
        there: prompts that the run has.

    Raises:
        StorageError: a file of the run cannot be read.
    """

    def __init__(self, run: Run, config: PromptsConfig) -> None:
        self._run = run
        self._config = config
        self._known = KnownRows(run, list_finished(run))
        self.there = self._known.prompts
        self._read = self._new = 0

    def sift(
        self, rows: Iterable[Prompt | Reject], stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[Prompt | Reject]:
        """Pass on the rows that the run lacks, in order.

        Until a prompt of the run is met, rows wait in a temporary file: a source that has none of
        them is most likely not the one that was meant. In a run that is at its beginning, and where
        `prompts.missing` says what is wanted, none has to wait.

        Raises:
            RunMismatchError: the source has no prompt of the run.
        """
        with TempRecords() as waiting:
            places: list[tuple[int, type[Prompt] | type[Reject]]] = []
            for row in rows:
                self._read += 1
                is_new = self._is_new(row)
                if not self._is_meant():
                    if is_new:
                        places.append((waiting.append(row), type(row)))
                    continue
                yield from (waiting.load(*place) for place in places)
                places.clear()
                if is_new:
                    yield row
        if not self._is_meant() and not stopped():
            raise self._describe_stranger()

    def conclude(self) -> Findings:
        """Say how the source stands to the run, now that it was read to its end or its limit."""
        known, limit = self._known, self._config.limit
        complete = limit is None or self._read < limit
        unmet = known.list_missing()
        return Findings(
            there=known.prompts,
            new=self._new,
            missing=unmet if complete else [],
            changed=known.list_changed(),
            unread=0 if complete else len(unmet),
            stale_rejects=known.list_stale_rejects(complete=complete),
        )

    def _is_new(self, row: Prompt | Reject) -> bool:
        found = self._known.meet(row)
        # In the place of one that is to be dropped comes what the source says now.
        is_new = found == "new" or (found == "changed" and self._config.missing == "drop")
        self._new += is_new and isinstance(row, Prompt)
        return is_new or (found == "changed" and isinstance(row, Reject))

    def _is_meant(self) -> bool:
        return self._known.any_met or not self._known.prompts or self._config.missing is not None

    def _describe_stranger(self) -> RunMismatchError:
        first = show_prompt(self._run, self._known.first)
        read = f"the first {self._read:,} rows of this source hold" if self._config.limit else ""
        return RunMismatchError(
            f"{read or 'this source holds'} none of the {self._known.prompts:,} prompts of this "
            f"run, the first of which is {first}.",
            where=str(self._run.root),
            hint="To add it to the source of the run, name both: prompts.path: [OLD, NEW]. If it "
            "takes the old one's place, say what becomes of the old prompts: "
            "`--set prompts.missing=keep` or `=drop`. Or choose another directory.",
        )
