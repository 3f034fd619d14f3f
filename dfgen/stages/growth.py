"""Reads a source into a run that has prompts already: tells new rows from those that are there.

Nothing is written here. `dfgen.stages.ingest` writes what is new; `--dry-run` only counts it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import TracebackType
from typing import Any, Self

from dfgen.config.imports import ImportConfig
from dfgen.config.pipeline import Pipeline
from dfgen.config.prompts import PromptsConfig
from dfgen.errors import InputError, RunMismatchError
from dfgen.prompts.importing import ImportedGroup, ImportedResponse
from dfgen.prompts.sources import describe_rows
from dfgen.prompts.temp_records import TempRecords
from dfgen.records import Prompt, Reject
from dfgen.stages.missing_pictures import may_be_there
from dfgen.stages.more_answers import DifferingGroups, MoreAnswers
from dfgen.store.growing import KnownRows, Place, list_finished, show_prompt
from dfgen.store.layout import Stage
from dfgen.store.run import Run

Row = Prompt | Reject | ImportedGroup
"""What a row of a source becomes; an imported prompt comes with its answers."""

Source = PromptsConfig | ImportConfig

DOUBTED_FROM = "doubted_from"
"""Fact of `prompts` in the manifest: the first shard whose rejects may be prompts that the source
seemed to lack when it was read; null once nothing is missing."""

ANSWERS_LEFT = "answers_left"
"""Fact of `prompts` in the manifest: answers of prompts of the run that are still to be added."""

_SHOWN = 5
"""Prompts that are named one by one in a message; the manifest names some more."""


@dataclass(frozen=True)
class Findings:
    """How a source stands to the prompts that a run had before it was read.

    Attributes:
        there: prompts of the run.
        new: prompts that the run lacks.
        missing: prompts of the run that the source does not have.
        changed: prompts of the run that the source has with another solution, metadata, ..., or
            with other answers.
        unread: prompts of the run among which nobody knows, because a limit cut the source.
        stale_rejects: rejects that no longer hold.
        doubts: rows that were refused and may be missing prompts: those that were refused before
            anything was missing are not.
        answers: that prompts of the run had not, of imported ones.
        answered: prompts of the run that these are of.
    """

    there: int
    new: int
    missing: list[Place]
    changed: list[Place]
    unread: int
    stale_rejects: list[Place]
    doubts: int = 0
    answers: int = 0
    answered: int = 0

    def list_dropped(self, config: Source) -> list[Place]:
        """Return the prompts that are to go: none while a row that cannot be read may be one."""
        return self.missing if config.missing == "drop" and not self.doubts else []

    def to_json(self) -> dict[str, int]:
        """Return how many prompts there are of each kind."""
        return {
            "there": self.there,
            "new": self.new,
            "missing": len(self.missing),
            "changed": len(self.changed),
            "unread": self.unread,
            "new_answers": self.answers,
        }


class Growth:
    """One reading of a source, compared with the prompts of a run row by row, as a context manager.

    Args:
        run: as it is.
        config: how the source is read.

    Attributes:
        there: prompts that the run has.

    Raises:
        StorageError: a file of the run cannot be read.
    """

    def __init__(self, run: Run, config: Source) -> None:
        self._run = run
        self._config = config
        self._imports = isinstance(config, ImportConfig)
        stages = list_written(config)
        self._known = KnownRows(
            run,
            list_finished(run, stages),
            with_answers=self._imports,
            doubted_from=run.manifest.get_stage("prompts").facts.get(DOUBTED_FROM),
        )
        self.there = self._known.prompts
        self._read = self._new = self._doubts = self._answers = self._answered = 0
        self._differing = DifferingGroups(run, self._known)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._differing.__exit__(kind, error, trace)

    def sift(
        self, rows: Iterable[Row], stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[Row]:
        """Pass on the rows that the run lacks, in order.

        Until a prompt of the run is met, rows wait in a temporary file: a source that has none of
        them is most likely not the one that was meant. In a run that is at its beginning, and where
        `missing` is keep, none has to wait.

        Raises:
            RunMismatchError: the source has no prompt of the run.
        """
        with WaitingRows() as waiting:
            for row in rows:
                self._read += 1
                is_new = self._is_new(row)
                if not self._is_meant():
                    if is_new:
                        waiting.add(row)
                    continue
                yield from waiting.take_out()
                if is_new:
                    yield row
        if not self._is_meant() and not stopped():
            raise self._describe_stranger()

    def iter_more(self) -> Iterator[tuple[int, list[MoreAnswers]]]:
        """Yield the answers that prompts of the run lack, shard by shard, now that the source was
        read to its end or its limit.

        Raises:
            StorageError: a file of the run cannot be read.
        """
        for shard, more in self._differing.iter_more():
            self._answers += sum(len(each.answers) for each in more)
            self._answered += len(more)
            yield shard, more

    def conclude(self) -> Findings:
        """Say how the source stands to the run, now that `iter_more` has come to its end."""
        known, limit = self._known, self._config.limit
        # Of imported answers, how many rows a prompt was made of nobody has counted.
        complete = limit is None or (not self._imports and self._read < limit)
        unmet = known.list_missing()
        return Findings(
            there=known.prompts,
            new=self._new,
            missing=unmet if complete else [],
            changed=known.list_changed(),
            unread=0 if complete else len(unmet),
            stale_rejects=known.list_stale_rejects(complete=complete),
            doubts=self._doubts,
            answers=self._answers,
            answered=self._answered,
        )

    def _is_new(self, row: Row) -> bool:
        if isinstance(row, tuple):
            found = self._known.meet(row[0], [answer.text for answer in row[1]])
            if found == "changed":
                self._differing.add(row)
        else:
            found = self._known.meet(row)
        if isinstance(row, Reject):
            known = found == "same" and not self._known.is_doubted(row)
            self._doubts += is_doubtful(row) and not known
            return found != "same"
        self._new += found == "new"
        return found == "new"

    def _is_meant(self) -> bool:
        return self._known.any_met or not self._known.prompts or self._config.missing == "keep"

    def _describe_stranger(self) -> RunMismatchError:
        first = show_prompt(self._run, self._known.first)
        read = f"the first {self._read:,} rows of this source hold" if self._config.limit else ""
        section = name_section(self._config)
        return RunMismatchError(
            f"{read or 'this source holds'} none of the {self._known.prompts:,} prompts of this "
            f"run, the first of which is {first}.",
            where=str(self._run.root),
            hint=f"To add it to the source of the run, name both: {section}.path: [OLD, NEW]. Or "
            f"keep the old prompts beside the new ones: `--set {section}.missing=keep`. Or choose "
            "another directory.",
        )


class WaitingRows:
    """Keeps rows in a temporary file until it is known whether they are wanted."""

    def __init__(self) -> None:
        self._records = TempRecords()
        self._places: list[tuple[int, type[Prompt] | type[Reject], list[int]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._records.__exit__(kind, error, trace)

    def add(self, row: Row) -> None:
        """Take a row in. Raises `StorageError`."""
        first, answers = row if isinstance(row, tuple) else (row, [])
        place = self._records.append(first)
        self._places.append((place, type(first), [self._records.append(each) for each in answers]))

    def take_out(self) -> Iterator[Row]:
        """Yield the rows in order and forget them."""
        for place, kind, answers in self._places:
            row = self._records.load(place, kind)
            if isinstance(row, Prompt) and answers:
                yield row, [self._records.load(each, ImportedResponse) for each in answers]
            else:
                yield row
        self._places.clear()


def is_doubtful(row: Row) -> bool:
    """Say whether a row was refused and may be a prompt; a duplicate is one that was met."""
    return isinstance(row, Reject) and row.reason != "duplicate"


def name_section(config: Source) -> str:
    """Name the section of the pipeline file that says how a source is read."""
    return "imports" if isinstance(config, ImportConfig) else "prompts"


def list_written(config: Source) -> tuple[Stage, ...]:
    """List the stages that are written from the rows of a source."""
    return ("prompts", "sample") if isinstance(config, ImportConfig) else ("prompts",)


def is_read(run: Run, config: Source, source: dict[str, Any]) -> bool:
    """Say whether all of a source is in the run, which needs no look at its rows.

    It is not while a row was rejected for a picture that may be there by now.

    Args:
        source: what identifies it (`dfgen.prompts.sources.describe_rows`).
    """
    facts = run.manifest.get_stage("prompts").facts
    # A run of an earlier dfgen was made with the pipeline on record, and could not grow.
    settings = facts.get("settings") or run.manifest.pipeline.get(name_section(config)) or {}
    known = type(config).model_fields
    before = {name: value for name, value in settings.items() if name in known}
    return (
        run.manifest.get_stage("prompts").state == "done"
        and not facts.get(ANSWERS_LEFT)
        and _leave_times_out(facts.get("source") or {}) == _leave_times_out(source)
        and type(config).model_validate(before) == config
        and all(
            run.output(stage).exists(shard)
            for stage in list_written(config)
            for shard in run.list_noted(stage)
        )
        and not may_be_there(run, config)
    )


def has_read(run: Run, pipeline: Pipeline) -> bool:
    """Say whether the run has all of the source that a pipeline names, as it is now."""
    config = pipeline.prompts or pipeline.imports
    if config is None:
        return run.manifest.get_stage("prompts").state == "done"
    try:
        return is_read(run, config, describe_rows(config))
    except InputError:
        return False  # whoever reads it says what is wrong with it


@dataclass(frozen=True)
class Preview:
    """What a reading of the source would add to a run.

    Attributes:
        findings: how the source stands to the run.
        first: the first of the new rows, refused ones included.
        answers: that come with new prompts, and new ones of prompts of the run.
    """

    findings: Findings
    first: list[Row] = field(default_factory=list)
    answers: int = 0


def preview(run: Run, config: Source, keep: int = 0) -> Preview:
    """Find out what a reading of the source would add to a run, without writing anything.

    Args:
        run: with prompts.
        config: how the source is read.
        keep: how many of the new rows are wanted.

    Raises:
        RunMismatchError: the source has no prompt of the run.
        InputError: the source cannot be read.
        StorageError: a file of the run cannot be read.
    """
    if is_read(run, config, describe_rows(config)):
        there = sum(map(run.output("prompts").num_rows, run.output("prompts").shards()))
        return Preview(Findings(there, 0, [], [], 0, []))
    first, answers = list[Row](), 0
    with Growth(run, config) as growth:
        for row in growth.sift(read_source(config)):
            if len(first) < keep:
                first.append(row)
            answers += len(row[1]) if isinstance(row, tuple) else 0
        answers += sum(len(each.answers) for _, more in growth.iter_more() for each in more)
        return Preview(growth.conclude(), first, answers)


def read_new_rows(run: Run, config: Source, count: int) -> list[Row]:
    """Read the first rows of a source that the run lacks, and no further than these.

    Args:
        run: with prompts.

    Raises: as `preview`.
    """
    if is_read(run, config, describe_rows(config)):
        return []
    with Growth(run, config) as growth:
        return list(islice(growth.sift(read_source(config)), count))


def find_gone(run: Run, config: Source, shards: Sequence[int]) -> tuple[list[Place], int]:
    """Find the prompts of some shards that the source does not have any more, by reading it.

    Args:
        shards: whose files can be read.

    Returns:
        Where they lie, and how many rows of the source are refused and may be prompts.

    Raises:
        InputError: the source cannot be read.
        StorageError: a file of the run cannot be read.
    """
    known, doubts = KnownRows(run, shards), 0
    for row in read_source(config):
        known.meet(row[0] if isinstance(row, tuple) else row)
        doubts += is_doubtful(row)
    return known.list_missing(), doubts


def read_source(config: Source) -> Iterator[Row]:
    """Read the rows of a source, in order."""
    from dfgen.prompts.importing import read_trajectories
    from dfgen.prompts.reading import read_prompts

    if isinstance(config, ImportConfig):
        return read_trajectories(config)
    return read_prompts(config)


def describe_more(found: Findings, left: int = 0) -> Iterator[str]:
    """Say which answers a reading has added to prompts that were there.

    Args:
        left: of them, how many could not be added, because others work on the run.
    """
    fate = (
        "; not added while other processes work on the run: the same command, alone" if left else ""
    )
    if found.answers:
        prompts = _count(found.answered, "prompt")
        yield f"{_count(found.answers, 'new answer')} of {prompts} that were there{fate}"


def describe_growth(prompts: int, shards: int, before: int) -> str:
    """Say what a reading has added to the prompts of a run."""
    if not prompts:
        return f"no new prompts; {before:,} were there"
    return f"{_count(prompts, 'new prompt')} in {_count(shards, 'shard')}; {before:,} were there"


def describe_absent(run: Run, found: Findings, config: Source) -> Iterator[str]:
    """Name the prompts of a run that its source does not have, or has otherwise."""
    section = name_section(config)
    gone = f"kept; `--set {section}.missing=drop` removes what is missing"
    if config.missing == "drop":
        gone = "dropped; what was made of them is kept in history/"
    if config.missing == "drop" and found.doubts:
        gone = (
            f"kept: {_count(found.doubts, 'refused row')} of the source may be among them. Mend or "
            f"remove what `dfgen inspect {run.root} --rejects` shows of the prompts, or set "
            f"{section}.missing=keep; `--redo prompts` reads the whole source anew, without them"
        )
    other = "other answers, " if section == "imports" else ""
    shards = ",".join(map(str, sorted({place.shard for place in found.changed})))
    for places, what, fate in (
        (found.missing, "not in the source any more", gone),
        (
            found.changed,
            f"in the source with {other}another solution, metadata, answer type, precision or id",
            f"kept as it was; `--redo prompts:{shards}` makes such shards anew",
        ),
    ):
        if places:
            verb = "is" if len(places) == 1 else "are"
            yield f"{_count(len(places), 'prompt')} of the run {verb} {what} ({fate}):"
            yield from list_prompts(run, places)
    if found.unread:
        yield (
            f"{_count(found.unread, 'prompt')} of the run not met: {section}.limit ended the "
            "reading before, so nobody knows whether the source still has them (kept)"
        )


def list_prompts(run: Run, places: Sequence[Place]) -> Iterator[str]:
    """Name the first of some prompts, a line each, and say how many more there are."""
    yield from (f"  {show_prompt(run, place)}" for place in places[:_SHOWN])
    if len(places) > _SHOWN:
        yield f"  and {len(places) - _SHOWN:,} more"


def _leave_times_out(source: dict[str, Any]) -> dict[str, Any]:
    """What identifies a source, without when its files were touched where their hash is known."""
    files = [
        {name: value for name, value in file.items() if name != "mtime" or not file["sha256"]}
        for file in source.get("files", ())
    ]
    return {**source, "files": files}


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
