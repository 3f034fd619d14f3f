"""Runs the first stage: the user's questions and pictures into the run's own prompt shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dfgen.errors import InputError
from dfgen.records import Prompt, Reject
from dfgen.stages.session import Session


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
    writer = PromptShards(session, config.shard_size)
    for row in session.until_stopped(read_prompts(config)):
        writer.add(row)
    if session.stop.requested:
        return
    counts, content = writer.close()
    if not counts["output"]:
        raise InputError(
            f"none of the {counts['input']} rows became a prompt.",
            where=config.source,
            hint=f"`dfgen inspect {run.root} --rejects` shows why.",
        )
    run.check_stage("prompts", session.pipeline, {"content": content})
    run.set_stage("prompts", state="done", counts=counts)
    session.progress.finish("prompts")


class PromptShards:
    """Collects rows into shards of a fixed number of prompts."""

    def __init__(self, session: Session, size: int) -> None:
        from dfgen.store.fingerprint import ContentHash

        self.session = session
        self.size = size
        self.shard = 0
        self.prompts: list[Prompt] = []
        self.rejects: list[Reject] = []
        self.counts = {"input": 0, "output": 0, "rejects": 0}
        self.content = ContentHash()

    def add(self, row: Prompt | Reject) -> None:
        """Take one row of the source; writes a shard when it is full."""
        self.counts["input"] += 1
        if isinstance(row, Reject):
            self.counts["rejects"] += 1
            self.rejects.append(row)
            self.session.progress.advance(1, rejected=1)
            return
        self.counts["output"] += 1
        self.content.update(row.model_dump())
        self.prompts.append(row)
        self.session.progress.advance(1, accepted=1)
        if len(self.prompts) == self.size:
            self._flush()

    def close(self) -> tuple[dict[str, int], str]:
        """Write what is left; returns the counts and the hash of all prompts in order."""
        if self.prompts or self.rejects:
            self._flush()
        return self.counts, self.content.hexdigest()

    def _flush(self) -> None:
        if not self.session.run.table("prompts").exists(self.shard):
            self.session.finish_shard("prompts", self.shard, self.prompts, self.rejects)
        self.shard += 1
        self.prompts, self.rejects = [], []


def remove_shards(session: Session) -> None:
    """Take back an ingest that was never finished."""
    for table in (session.run.table("prompts"), session.run.rejects("prompts")):
        for shard in table.shards():
            table.remove(shard)


def read_shard(session: Session, shard: int) -> Iterator[Prompt]:
    """The prompts of a shard, pictures included."""
    for row in session.run.table("prompts").iter_rows(shard):
        yield Prompt.model_validate(row)


def _hash_content(rows: Iterable[Prompt | Reject]) -> str:
    from dfgen.store.fingerprint import ContentHash

    content = ContentHash()
    for row in rows:
        if isinstance(row, Prompt):
            content.update(row.model_dump())
    return content.hexdigest()
