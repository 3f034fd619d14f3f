"""Runs the first stage: the user's questions and pictures into the run's own prompt shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dfgen.errors import InputError
from dfgen.reasons.tally import ReasonTally
from dfgen.records import Prompt, Reject
from dfgen.stages.chunks import Chunk, cut_chunks
from dfgen.stages.rejected import name_command
from dfgen.stages.session import Session
from dfgen.store.fingerprint import ContentHash


def run_prompts(session: Session) -> None:
    """Read the source once, verify every picture, and write prompts in source order.

    An interrupted ingest reads the source again from its start; shards that stand are kept, and
    the order of a source never changes, so they would come out the same. A finished one reads the
    source again only if the settings or the files look different, to learn whether the prompts are.

    Raises:
        RunMismatchError: the source now holds other prompts than the run was made with.
        InputError: the source cannot be read, or no row became a prompt.
    """
    from dfgen.prompts.reading import describe_source, read_prompts

    run, config = session.run, session.pipeline.prompts
    if config is None:
        raise InputError("the pipeline has no prompts section.")
    source = describe_source(config)
    record = run.manifest.get_stage("prompts")
    if record.state == "done":
        same = record.facts.get("source") == source
        if not same or run.find_differences("prompts", session.pipeline, {}):
            content = _hash_content(read_prompts(config))
            run.check_stage("prompts", session.pipeline, {"content": content})
        return
    run.check_stage("prompts", session.pipeline, {})
    if record.facts.get("source") != source:
        # Shards of an interrupted ingest hold rows of files that have changed since.
        remove_shards(session)
    run.set_stage("prompts", state="running", counts={}, source=source)
    session.progress.start("prompts", config.limit, 0)
    writer = PromptShards(session)
    rows = session.until_stopped(report(session, read_prompts(config)))
    for chunk in cut_chunks(
        run, ("prompts",), rows, config.shard_size, is_prompt, lambda: session.stop.requested
    ):
        writer.add(chunk)
    if session.stop.requested:
        return
    counts, content = writer.counts, writer.content.hexdigest()
    if not counts["output"]:
        raise InputError(
            f"none of the {counts['input']} rows became a prompt.",
            where=config.source,
            hint=f"{writer.refused.explain()} {name_command(run)}",
        )
    run.check_stage("prompts", session.pipeline, {"content": content})
    run.set_stage("prompts", state="done", counts=counts)
    session.progress.finish("prompts")


class PromptShards:
    """Writes chunks of a source as shards of prompts, and counts them.

    Attributes:
        counts: `input`, `output` and `rejects` of all chunks so far.
        content: hash over all prompts in order.
        refused: the rejects among them, by reason.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.counts = {"input": 0, "output": 0, "rejects": 0}
        self.content = ContentHash()
        self.refused = ReasonTally()

    def add(self, chunk: Chunk[Prompt | Reject]) -> None:
        """Take the rows of one shard; it is written unless it is there."""
        prompts = [row for row in chunk.rows if isinstance(row, Prompt)]
        rejects = [row for row in chunk.rows if isinstance(row, Reject)]
        for prompt in prompts:
            self.content.update(prompt.model_dump())
        for row in rejects:
            self.refused.add(row.reason, row.row_id, row.detail)
        for name, rows in (("input", chunk.rows), ("output", prompts), ("rejects", rejects)):
            self.counts[name] += len(rows)
        if not chunk.written:
            self.session.finish_shard("prompts", chunk.shard, prompts, rejects, source=chunk.source)


def is_prompt(row: Prompt | Reject) -> bool:
    """Say whether a row of the source counts for the size of a shard."""
    return isinstance(row, Prompt)


def report(session: Session, rows: Iterable[Prompt | Reject]) -> Iterator[Prompt | Reject]:
    """Tell the progress of each row that is read."""
    for row in rows:
        accepted = isinstance(row, Prompt)
        session.progress.advance(1, accepted=accepted, rejected=not accepted)
        yield row


def remove_shards(session: Session) -> None:
    """Take back an ingest that was never finished."""
    for table in (session.run.table("prompts"), session.run.rejects("prompts")):
        for shard in table.shards():
            table.remove(shard)


def read_shard(session: Session, shard: int) -> Iterator[Prompt]:
    """Read the prompts of a shard, pictures included."""
    for row in session.run.table("prompts").iter_rows(shard):
        yield Prompt.model_validate(row)


def _hash_content(rows: Iterable[Prompt | Reject]) -> str:
    content = ContentHash()
    for row in rows:
        if isinstance(row, Prompt):
            content.update(row.model_dump())
    return content.hexdigest()
