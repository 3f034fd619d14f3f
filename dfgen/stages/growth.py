"""Reads a source into a run that has prompts already: tells new rows from those that are there.

Nothing is written here. `dfgen.stages.ingest` writes what is new; `--dry-run` only counts it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from dfgen.config.prompts import PromptsConfig
from dfgen.errors import RunMismatchError
from dfgen.prompts.temp_records import TempRecords
from dfgen.records import Prompt, Reject
from dfgen.store.growing import KnownRows, Place, list_finished, show_prompt
from dfgen.store.run import Run

_SHOWN = 5
"""Prompts that are named one by one in a message; the manifest names some more."""


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

    def to_json(self) -> dict[str, int]:
        """Return how many prompts there are of each kind."""
        return {
            "there": self.there,
            "new": self.new,
            "missing": len(self.missing),
            "changed": len(self.changed),
            "unread": self.unread,
        }


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


def is_read(run: Run, config: PromptsConfig, source: dict[str, Any]) -> bool:
    """Say whether all of a source is in the run, which needs no look at its rows.

    Args:
        source: what identifies it (`dfgen.prompts.reading.describe_source`).
    """
    record = run.manifest.get_stage("prompts")
    # A run of an earlier dfgen was made with the pipeline on record, and could not grow.
    settings = record.facts.get("settings") or run.manifest.pipeline.get("prompts") or {}
    known = PromptsConfig.model_fields
    before = {name: value for name, value in settings.items() if name in known}
    return (
        record.state == "done"
        and _leave_times_out(record.facts.get("source") or {}) == _leave_times_out(source)
        and PromptsConfig.model_validate(before) == config
        and all(run.output("prompts").exists(shard) for shard in run.list_noted("prompts"))
    )


def preview(run: Run, config: PromptsConfig) -> Findings:
    """Find out what a reading of the source would add to a run, without writing anything.

    Args:
        run: with prompts.
        config: how the source is read.

    Raises:
        RunMismatchError: the source has no prompt of the run.
        InputError: the source cannot be read.
        StorageError: a file of the run cannot be read.
    """
    from dfgen.prompts.reading import describe_source, read_prompts

    if is_read(run, config, describe_source(config)):
        there = sum(map(run.output("prompts").num_rows, run.output("prompts").shards()))
        return Findings(there, 0, [], [], 0, [])
    growth = Growth(run, config)
    for _ in growth.sift(read_prompts(config)):
        pass
    return growth.conclude()


def describe_growth(prompts: int, shards: int, before: int) -> str:
    """Say what a reading has added to the prompts of a run."""
    if not prompts:
        return f"no new prompts; {before:,} were there"
    return f"{_count(prompts, 'new prompt')} in {_count(shards, 'shard')}; {before:,} were there"


def describe_absent(run: Run, found: Findings, dropped: bool) -> Iterator[str]:
    """Name the prompts of a run that its source does not have, or has otherwise."""
    fate = "dropped" if dropped else "kept; `--set prompts.missing=drop` removes them"
    for places, what in (
        (found.missing, "not in the source any more"),
        (found.changed, "in the source with another solution, metadata, answer type or precision"),
    ):
        if places:
            verb = "is" if len(places) == 1 else "are"
            yield f"{_count(len(places), 'prompt')} of the run {verb} {what} ({fate}):"
            yield from (f"  {show_prompt(run, place)}" for place in places[:_SHOWN])
            if len(places) > _SHOWN:
                yield f"  and {len(places) - _SHOWN:,} more"
    if found.unread:
        yield (
            f"{_count(found.unread, 'prompt')} of the run not met: prompts.limit ended the reading "
            "before, so nobody knows whether the source still has them (kept)"
        )


def _leave_times_out(source: dict[str, Any]) -> dict[str, Any]:
    """What identifies a source, without when its files were touched where their hash is known."""
    files = [
        {name: value for name, value in file.items() if name != "mtime" or not file["sha256"]}
        for file in source.get("files", ())
    ]
    return {**source, "files": files}


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
