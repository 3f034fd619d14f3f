"""Runs the first stage: the user's questions and pictures into the run's own prompt shards.

The source may have grown since, or be another one that has the old questions, too. Questions that
the run lacks become new shards; what it has stays as it is (`dfgen.store.growing`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from dfgen.config.prompts import PromptsConfig
from dfgen.errors import InputError
from dfgen.reasons.tally import ReasonTally
from dfgen.records import Prompt, Reject
from dfgen.stages.chunks import hash_rows, take_rows
from dfgen.stages.growth import Findings, Growth
from dfgen.stages.rejected import name_command
from dfgen.stages.session import Session
from dfgen.store.counts import count_stage
from dfgen.store.dropping import drop_prompts, drop_rejects, group_by_shard, note_files
from dfgen.store.entries import SourceRows
from dfgen.store.growing import describe_places, iter_free, list_finished, show_prompt
from dfgen.store.run import Run

GROWING = "growing"
"""Fact of `prompts` in the manifest while shards are added: how many prompts there were before that
(`prompts`), and the first of the new shards (`first_shard`); null when it is done."""

REWRITING = "rewriting"
"""Fact of `prompts` in the manifest while prompts or rejects are dropped: from which shards."""

_SHOWN = 5
"""Prompts that are named one by one in a message; the manifest names some more."""


def run_prompts(session: Session) -> None:
    """Read the source, verify every picture, and write the prompts that the run lacks.

    An interrupted reading starts again: what it has written is found there, and the order of a
    source never changes, so the other shards come out as they would have. A source that is as it
    was when it was read to its end is not read again.

    Raises:
        RunMismatchError: the source has no prompt of the run.
        InputError: the source cannot be read, or no row became a prompt.
    """
    from dfgen.prompts.reading import describe_source

    run, config = session.run, session.pipeline.prompts
    if config is None:
        raise InputError("the pipeline has no prompts section.")
    source = describe_source(config)
    if not is_read(run, config, source):
        Ingest(session, config, source).execute()


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


class Ingest:
    """One reading of a source into a run.

    Args:
        session: of the run.
        config: how the source is read.
        source: what identifies it.
    """

    def __init__(self, session: Session, config: PromptsConfig, source: dict[str, Any]) -> None:
        self.session = session
        self.run = session.run
        self.config = config
        self.facts = {"source": source, "settings": config.model_dump(mode="json")}
        self._begun = False
        self._refused = ReasonTally()

    def execute(self) -> None:
        """Read, write what is new, and say how the source stands to what was there."""
        from dfgen.prompts.reading import read_prompts

        session, config = self.session, self.config
        self._mend()
        growth = Growth(self.run, config)
        if not growth.there:
            self._begin()
        session.progress.tell("reading the questions and decoding every picture once")
        session.progress.start("prompts", config.limit, 0)
        rows = self._report(session.until_stopped(read_prompts(config)))
        self._write(growth.sift(rows, lambda: session.stop.requested))
        if session.stop.requested:
            return
        messages = self._conclude(growth.conclude())
        session.progress.finish("prompts")
        for message in messages:
            session.progress.tell(message)

    def _report(self, rows: Iterable[Prompt | Reject]) -> Iterator[Prompt | Reject]:
        """Tell the progress of each row that is read."""
        for row in rows:
            accepted = isinstance(row, Prompt)
            self.session.progress.advance(1, accepted=accepted, rejected=not accepted)
            if isinstance(row, Reject):
                self._refused.add(row.reason, row.row_id, row.detail)
            yield row

    def _mend(self) -> None:
        """Put right what a dropping that was interrupted left, and note old shards."""
        record = self.run.manifest.get_stage("prompts")
        for shard in record.facts.get(REWRITING) or ():
            note_files(self.run, shard, {})
        if record.state == "done" and len(list_finished(self.run)) < len(self._shards):
            # Shards that an earlier dfgen wrote get their notes.
            self.run.set_stage("prompts", state="done", counts=record.counts)

    def _begin(self) -> None:
        """Say in the manifest that shards are being added, and to what."""
        if self._begun:
            return
        self._begun = True
        run = self.run
        record = run.manifest.get_stage("prompts")
        growing = record.facts.get(GROWING)
        if record.state == "done":
            there = count_stage(run, "prompts")["output"]
            growing = {"prompts": there, "first_shard": max(self._shards, default=-1) + 1}
        for stage in run.stages:
            if stage != "prompts" and run.manifest.get_stage(stage).state == "done":
                run.set_stage(stage, state="running", counts={})
        growing = growing or {"prompts": 0, "first_shard": 0}
        run.set_stage("prompts", state="running", counts={}, **self.facts, **{GROWING: growing})
        run.check_stage("prompts", self.session.pipeline, {})

    def _write(self, rows: Iterator[Prompt | Reject]) -> None:
        """Cut rows into shards and write them. A part of a shard is dropped after a stop."""
        for shard, known in iter_free(self.run):
            if known is None:
                chunk = list(take_rows(rows, self.config.shard_size, is_prompt))
            else:
                chunk = list(islice(rows, known.rows))
            if not chunk or self.session.stop.requested:
                return
            self._begin()
            prompts = [row for row in chunk if isinstance(row, Prompt)]
            rejects = [row for row in chunk if isinstance(row, Reject)]
            source = SourceRows(rows=len(chunk), sha256=hash_rows(chunk))
            self.session.finish_shard("prompts", shard, prompts, rejects, source=source)

    def _conclude(self, found: Findings) -> list[str]:
        """Drop what is to be dropped, and note that the source is read; returns what to say."""
        run = self.run
        absent = {
            "missing": describe_places(run, found.missing),
            "changed": describe_places(run, found.changed),
            "kept": self.config.missing != "drop",
        }
        messages = list(self._describe(found))
        self._drop(found)
        counts = count_stage(run, "prompts")
        counts = {**counts, "input": counts["output"] + counts["rejects"]}
        if not counts["output"]:
            raise InputError(
                f"none of the {counts['input']} rows became a prompt.",
                where=self.config.source,
                hint=f"{self._refused.explain()} {name_command(run)}",
            )
        run.check_stage("prompts", self.session.pipeline, {})
        reached = {GROWING: None, REWRITING: None, "absent": absent}
        run.set_stage("prompts", state="done", counts=counts, **self.facts, **reached)
        return messages

    def _drop(self, found: Findings) -> None:
        run = self.run
        prompts = [] if self.config.missing != "drop" else [*found.missing, *found.changed]
        gone, stale = group_by_shard(prompts), group_by_shard(found.stale_rejects)
        if not gone and not stale:
            return
        record = run.manifest.get_stage("prompts")
        shards = sorted({*gone, *stale})
        run.set_stage("prompts", state="running", counts=record.counts, **{REWRITING: shards})
        for shard, places in stale.items():
            drop_rejects(run, shard, places)
        for shard, places in gone.items():
            drop_prompts(run, shard, places)
        for stage in run.stages if gone else ():
            if stage != "prompts" and run.manifest.get_stage(stage).state == "done":
                run.set_stage(stage, state="done", counts=count_stage(run, stage))

    def _describe(self, found: Findings) -> Iterator[str]:
        """Say what was added to what, and which prompts are not in the source."""
        growing = self.run.manifest.get_stage("prompts").facts.get(GROWING)
        before = growing["prompts"] if growing else found.there
        if before:
            new = [n for n in self._shards if growing and n >= growing["first_shard"]]
            prompts = sum(map(self.run.output("prompts").num_rows, new))
            yield describe_growth(prompts, len(new), before)
        yield from describe_absent(self.run, found, self.config.missing == "drop")

    @property
    def _shards(self) -> list[int]:
        return self.run.output("prompts").shards()


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


def is_prompt(row: Prompt | Reject) -> bool:
    """Say whether a row of the source counts for the size of a shard."""
    return isinstance(row, Prompt)


def read_shard(session: Session, shard: int) -> Iterator[Prompt]:
    """Read the prompts of a shard, pictures included."""
    for row in session.run.table("prompts").iter_rows(shard):
        yield Prompt.model_validate(row)


def _leave_times_out(source: dict[str, Any]) -> dict[str, Any]:
    """What identifies a source, without when its files were touched where their hash is known."""
    files = [
        {name: value for name, value in file.items() if name != "mtime" or not file["sha256"]}
        for file in source.get("files", ())
    ]
    return {**source, "files": files}


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
