"""Runs the first stage: the user's questions and pictures into the run's own prompt shards.

The source may have grown since, or be another one that has the old questions, too. Questions that
the run lacks become new shards; what it has stays as it is (`dfgen.store.growing`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from dfgen.errors import InputError
from dfgen.prompts.sources import describe_rows
from dfgen.reasons.tally import ReasonTally
from dfgen.records import Prompt, Reject
from dfgen.stages.chunks import hash_rows, take_rows
from dfgen.stages.growth import (
    ANSWERS_LEFT,
    DOUBTED_FROM,
    Findings,
    Growth,
    Row,
    Source,
    describe_absent,
    describe_growth,
    describe_more,
    is_doubtful,
    is_read,
    list_written,
    read_source,
)
from dfgen.stages.more_answers import MoreAnswers
from dfgen.stages.rejected import name_command
from dfgen.stages.session import Session
from dfgen.store.counts import count_stage
from dfgen.store.dropping import drop_rows
from dfgen.store.entries import SourceRows
from dfgen.store.expected_rows import CELLS_FACT
from dfgen.store.growing import describe_places, iter_free, list_finished
from dfgen.store.layout import Stage
from dfgen.store.run import Run

GROWING = "growing"
"""Fact of `prompts` in the manifest while shards are added: how many prompts there were before that
(`prompts`), and the first of the new shards (`first_shard`); null when it is done."""


def run_prompts(session: Session) -> None:
    """Read the source, verify every picture, and write the prompts that the run lacks.

    An interrupted reading starts again: what it has written is found there, and the order of a
    source never changes, so the other shards come out as they would have. A source that is as it
    was when it was read to its end is not read again.

    Raises:
        RunMismatchError: the source has no prompt of the run.
        InputError: the source cannot be read, or no row became a prompt.
    """
    config = session.pipeline.prompts
    if config is None:
        raise InputError("the pipeline has no prompts section.")
    Ingest(session, config).execute()


class Ingest:
    """One reading of a source into a run.

    Args:
        session: of the run.
        config: how the source is read.

    Attributes:
        answers_left: answers of prompts that are there which could not be added now.
    """

    def __init__(self, session: Session, config: Source) -> None:
        self.session = session
        self.run = session.run
        self.config = config
        self.stages = list_written(config)
        self._facts: dict[str, Any] = {}
        self._begun = False
        self._refused = ReasonTally()
        self.answers_left = 0

    def execute(self) -> None:
        """Read, write what is new, and say how the source stands to what was there."""
        session, config = self.session, self.config
        source = describe_rows(config)
        if is_read(self.run, config, source):
            return
        self._facts = {"source": source, "settings": config.model_dump(mode="json")}
        self._note_old_shards()
        with Growth(self.run, config) as growth:
            if not growth.there:
                self.begin()
            session.progress.start(self.stages[0], config.limit, 0)
            rows = self._report(session.until_stopped(read_source(config)))
            self._write(growth.sift(rows, lambda: session.stop.requested))
            if not session.stop.requested:
                self.write_more(session.until_stopped(growth.iter_more()))
            if session.stop.requested:
                return
            messages = self._conclude(growth.conclude())
        if messages is None:
            return
        session.progress.finish(self.stages[0])
        for message in messages:
            session.progress.tell(message)

    def write_shard(self, shard: int, rows: list[Row]) -> None:
        """Write what was made of some rows of the source as a shard."""
        prompts = [row for row in rows if isinstance(row, Prompt)]
        rejects = [row for row in rows if isinstance(row, Reject)]
        source = describe_chunk(rows)
        self.session.finish_shard("prompts", shard, prompts, rejects, source=source)

    def write_more(self, found: Iterator[tuple[int, list[MoreAnswers]]]) -> None:
        """Add answers to prompts that are there; questions without answers have none to add."""
        for _ in found:
            raise AssertionError("these rows come without answers")

    def _report(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Tell the progress of each row that is read."""
        for row in rows:
            refused = isinstance(row, Reject)
            self.session.progress.advance(1, accepted=not refused, rejected=refused)
            if isinstance(row, Reject):
                self._refused.add(row.reason, row.row_id, row.detail)
            yield row

    def _note_old_shards(self) -> None:
        """Give shards that an earlier dfgen wrote their notes."""
        record = self.run.manifest.get_stage("prompts")
        if record.state == "done" and len(list_finished(self.run, self.stages)) < len(self._shards):
            for stage in self.stages:
                counts = self.run.manifest.get_stage(stage).counts
                self.run.set_stage(stage, state="done", counts=counts)

    def begin(self) -> None:
        """Say in the manifest that shards are being added, and to what."""
        if self._begun:
            return
        self._begun = True
        run, growing = self.run, self._measure_growing()
        for stage in run.stages:
            if stage != "prompts" and run.manifest.get_stage(stage).state == "done":
                run.set_stage(stage, state="running", counts={})
        run.set_stage("prompts", state="running", counts={}, **self._facts, **{GROWING: growing})
        for stage in self.stages:
            run.check_stage(stage, self.session.pipeline, {})
        if "sample" in self.stages:
            # How many cells there are is known at the end; the fact says that rows are imported.
            run.set_stage("sample", state="running", counts={}, **{CELLS_FACT: 0})

    def _measure_growing(self) -> dict[str, int]:
        """The fact `GROWING`: as it is, where shards are being added, else as it is to be."""
        record = self.run.manifest.get_stage("prompts")
        if record.state != "done":
            return record.facts.get(GROWING) or {"prompts": 0, "first_shard": 0}
        there = count_stage(self.run, "prompts")["output"]
        return {"prompts": there, "first_shard": max(self._shards, default=-1) + 1}

    def _write(self, rows: Iterator[Row]) -> None:
        """Cut rows into shards and write them. A part of a shard is dropped after a stop."""
        for shard, known in iter_free(self.run, self.stages):
            if known is None:
                chunk = list(take_rows(rows, self.config.shard_size, is_accepted))
            else:
                chunk = list(islice(rows, known.rows))
            if not chunk or self.session.stop.requested:
                return
            self.begin()
            self._note_doubts(shard, chunk)
            self.write_shard(shard, chunk)

    def _note_doubts(self, shard: int, rows: Iterable[Row]) -> None:
        """Note refused rows before they are on record, so that a later reading tells them apart."""
        first = self.run.manifest.get_stage("prompts").facts.get(DOUBTED_FROM)
        if any(map(is_doubtful, rows)) and (first is None or shard < first):
            self.run.set_stage("prompts", state="running", counts={}, **{DOUBTED_FROM: shard})

    def _conclude(self, found: Findings) -> list[str] | None:
        """Drop what is to be dropped, and note that the source is read; returns what to say, None
        if a stop was asked for first."""
        run = self.run
        dropped = found.list_dropped(self.config)
        absent = {
            "missing": describe_places(run, [] if dropped else found.missing),
            "changed": describe_places(run, found.changed),
            "unread": found.unread,
            "kept": True,
            "dropped": describe_places(run, dropped),
        }
        messages = list(self._describe(found))
        if dropped or found.stale_rejects:
            # Interrupted, the next reading still says what it has added to what.
            run.note_stage("prompts", lambda _: {GROWING: self._measure_growing()})
        if not drop_rows(run, dropped, found.stale_rejects, self.session.waiting):
            return None
        counts = count_written(run, "prompts")
        if not counts["output"]:
            raise InputError(
                f"none of the {counts['input']} rows became a prompt.",
                where=self.config.source,
                hint=f"{self._refused.explain()} {name_command(run)}",
            )
        for stage in self.stages:
            run.check_stage(stage, self.session.pipeline, {})
        reached: dict[str, Any] = {GROWING: None, "absent": absent}
        reached[ANSWERS_LEFT] = self.answers_left or None
        if len(dropped) == len(found.missing) and not found.unread:
            reached[DOUBTED_FROM] = None
        run.set_stage("prompts", state="done", counts=counts, **self._facts, **reached)
        if "sample" in self.stages:
            cells = count_written(run, "sample")
            run.set_stage("sample", state="done", counts=cells, **{CELLS_FACT: cells["input"]})
        return messages

    def _describe(self, found: Findings) -> Iterator[str]:
        """Say what was added to what, and which prompts are not in the source."""
        growing = self.run.manifest.get_stage("prompts").facts.get(GROWING)
        before = growing["prompts"] if growing else found.there
        if before:
            new = [n for n in self._shards if growing and n >= growing["first_shard"]]
            prompts = sum(map(self.run.output("prompts").num_rows, new))
            yield describe_growth(prompts, len(new), before)
        yield from describe_more(found, self.answers_left)
        yield from describe_absent(self.run, found, self.config)

    @property
    def _shards(self) -> list[int]:
        return self.run.output("prompts").shards()


def is_accepted(row: Row) -> bool:
    """Say whether a row of the source counts for the size of a shard."""
    return not isinstance(row, Reject)


def count_written(run: Run, stage: Stage) -> dict[str, int]:
    """Count the rows that a stage has made of a source that was read to its end."""
    counts = count_stage(run, stage)
    output, rejects = counts["output"], counts["rejects"]
    return {"input": output + rejects, "output": output, "rejects": rejects}


def describe_chunk(rows: list[Row]) -> SourceRows:
    """Say of which rows of the source a shard was made."""
    return SourceRows(rows=len(rows), sha256=hash_rows(rows))


def read_shard(session: Session, shard: int) -> Iterator[Prompt]:
    """Read the prompts of a shard, pictures included."""
    for row in session.run.table("prompts").iter_rows(shard):
        yield Prompt.model_validate(row)
