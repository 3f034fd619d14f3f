"""Holds a process at work on a run: its run, settings, journals, and how it reports and stops."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

from dfgen.config.engine import EngineConfig, find_lane
from dfgen.config.pipeline import Pipeline, name_tokenizer
from dfgen.errors import InputError
from dfgen.records import Record, Reject
from dfgen.stages.progress import Progress, Silence
from dfgen.stages.stopping import StopSignal
from dfgen.store.finishing import finish_shard
from dfgen.store.layout import Stage, Table, find_writer, list_inputs
from dfgen.store.mounts import find_mount
from dfgen.store.reserving import Waiting

if TYPE_CHECKING:
    from pydantic import BaseModel

    from dfgen.engines.base import Engine
    from dfgen.engines.openai.batch.exchange import Exchange
    from dfgen.store.entries import SourceRows
    from dfgen.store.journal import Journal
    from dfgen.store.run import Run
    from dfgen.tokens.tokenizer import TextTokenizer

T = TypeVar("T")


@dataclass
class Session:
    """One process working on one run, which it has locked."""

    run: Run
    pipeline: Pipeline
    progress: Progress = field(default_factory=Silence)
    stop: StopSignal = field(default_factory=StopSignal)
    exchange: Exchange | None = None
    """Files that requests are written to and answers read from, where a stage's lane is `files`."""
    paused: str = ""
    """Why a stage cannot go on now though nobody has stopped it; empty if it can."""
    _journals: dict[tuple[str, int], Journal] = field(default_factory=dict)
    _told: set[tuple[str, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        if find_mount(self.run.root) is not None:
            from dfgen.store.bucket.mounting import set_pace

            set_pace(self.run.root, self.pipeline)

    @cached_property
    def tokenizer(self) -> TextTokenizer:
        """The policy's tokenizer, in whose tokens everything is counted and masked."""
        from dfgen.tokens.loading import load_tokenizer

        name, revision = name_tokenizer(self.pipeline)
        return load_tokenizer(name, revision)

    @property
    def waiting(self) -> Waiting:
        """How it waits for others that work on the run: until a stop is asked for."""
        return Waiting(lambda: self.stop.requested, self.progress.tell)

    def tell_loading(self, config: EngineConfig) -> None:
        """Say that a model is being loaded: minutes may pass before the first row."""
        if find_lane(config) == "files":  # somebody else reaches the server
            return
        what = "connecting to the server of" if config.engine == "openai" else "loading the model"
        self.progress.tell(f"{what} {config.model} ({config.engine})")

    def until_stopped(self, items: Iterable[T]) -> Iterator[T]:
        """Pass items on until a stop is asked for; what is in flight then still finishes."""
        for item in items:
            if self.stop.requested:
                return
            yield item

    def list_unfinished(self, stage: Stage) -> list[int]:
        """Shards in which a stage has something left to do.

        Raises:
            InputError: the stage before it has finished none.
        """
        source = list_inputs(stage)[0]
        ready = self.run.table(source).shards()
        if not ready:
            upstream = find_writer(source)
            raise InputError(
                f"there is nothing to {stage}: the {upstream} stage has not finished any shard.",
                where=str(self.run.root),
                hint="`dfgen run` does all stages in order.",
            )
        return [shard for shard in ready if not self.run.is_done(stage, shard)]

    def journal(self, stage: Stage, shard: int, record: type[BaseModel]) -> Journal:
        """Return the journal of a shard in work, kept open between writes.

        Args:
            record: what a stage keeps there; the same at every call.
        """
        key = (stage, shard)
        if key not in self._journals:
            tell = partial(self._tell_passed_over, stage, shard)
            self._journals[key] = self.run.journal(stage, shard, record, tell)
        return self._journals[key]

    def _tell_passed_over(self, stage: Stage, shard: int, count: int, problem: str) -> None:
        """Say, once of a journal, that some of what it holds is of no use."""
        if (stage, shard) in self._told:
            return
        self._told.add((stage, shard))
        self.progress.tell(
            f"{stage} shard {shard}: {count} of the answers on record hold what no file of the run "
            f"can, and are asked for again (the first: {problem})."
        )

    def finish_shard(
        self,
        stage: Stage,
        shard: int,
        rows: Iterable[Record],
        rejects: Iterable[Reject],
        *,
        beside: Mapping[Table, Sequence[Record]] | None = None,
        source: SourceRows | None = None,
    ) -> None:
        """Write a shard's files and let go of its journal (`dfgen.store.finishing`)."""
        journal = self._journals.pop((stage, shard), None)
        if journal is not None:
            journal.close()
        finish_shard(self.run, stage, shard, rows, rejects, beside=beside, source=source)

    def note(self, stage: Stage, **facts: Any) -> None:
        """Add to what the manifest says of a stage, its state and counts left as they are."""
        self.run.note_stage(stage, lambda _: facts)

    def close(self) -> None:
        """Close the journals that are still open."""
        for journal in self._journals.values():
            journal.close()
        self._journals.clear()


def describe_engine(engine: Engine) -> dict[str, Any]:
    """Describe what makes the results, for the manifest."""
    return asdict(engine.info)


def list_engine_facts(engine: Engine) -> dict[str, str]:
    """List what rows depend on and only the loaded engine knows: hashes of its tokenizer,
    processor and chat template."""
    return dict(engine.info.hashes)
