"""Says what is about to run, and holds what several checks look at."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dfgen.config.engine import EngineConfig
from dfgen.config.pipeline import Pipeline, name_tokenizer
from dfgen.stages.first_rows import FirstRows, collect_new_rows, read_first_rows
from dfgen.stages.growth import Preview, Row, Source, has_read, preview, read_new_rows
from dfgen.stages.work import is_wanted
from dfgen.store.layout import MANIFEST, STAGES, Stage, list_inputs

if TYPE_CHECKING:
    from dfgen.store.run import Run
    from dfgen.tokens.tokenizer import TextTokenizer

FIRST_ROWS = 20
"""Rows of the source that are looked at; enough to see a wrong column, and read in a moment."""

REGRADE = "regrade"
"""Stands for a stage, of a run whose answers are graded anew."""


@dataclass(frozen=True)
class EngineUse:
    """An engine that a stage is about to load or to reach.

    Attributes:
        stage: that needs it.
        section: of the pipeline file, for messages.
        config: that section.
        first: whether no other engine is used before it: what it needs must be there now. A server
            of a later stage may still be started meanwhile.
    """

    stage: Stage
    section: str
    config: EngineConfig
    first: bool


class Scope:
    """What is about to run.

    Args:
        pipeline: the effective settings.
        stages: that will be run, in order.
        out: the run directory, there or not; None: nobody knows yet.
        network: whether servers and the Hub may be asked.
        first_rows: rows of the source to look at.
        redone: stages of which something is set aside first, to be made anew.
        new_rows: whether rows are looked at that a run with prompts lacks, which takes a reading of
            its source: up to the first of them, or to its end, to count what there is. Who is about
            to read the source anyway looks at none.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        stages: Sequence[Stage],
        out: Path | None = None,
        *,
        network: bool = True,
        first_rows: int = FIRST_ROWS,
        redone: Collection[Stage] = (),
        new_rows: Literal["none", "first", "all"] = "none",
        unasked: Collection[Stage] = (),
        resubmit: bool = False,
    ) -> None:
        self.pipeline = pipeline
        self.out = out
        self.network = network
        self.resubmit = resubmit
        self.stages = tuple(_list_open(pipeline, stages, self.run, redone))
        self._first_rows = first_rows
        self._new_rows = new_rows
        self._unasked = unasked

    @cached_property
    def run(self) -> Run | None:
        """The run as it is; None if there is none yet. Raises `StorageError`."""
        from dfgen.store.run import Run

        if self.out is None or not (self.out / MANIFEST).exists():
            return None
        return Run.open_or_create(self.out, None)

    @cached_property
    def rows(self) -> FirstRows:
        """The first rows: of what a run lacks, if it lacks any, and of its own prompts if not.

        Raises:
            InputError: the source cannot be read.
            RunMismatchError: it has no prompt of the run.
        """
        new = collect_new_rows(self._list_new_rows())
        return new if new.read else self.known_rows

    @cached_property
    def known_rows(self) -> FirstRows:
        """The first rows of the run's own prompts, or of a source of which none is read yet."""
        return read_first_rows(self.pipeline, self._first_rows, self.run)

    @cached_property
    def growth(self) -> Preview | None:
        """What the source would add to the run; None: there is no run yet, or nobody is to count.

        Raises the errors of `rows`.
        """
        config = self._grown_source
        if config is None or self.run is None or self._new_rows != "all":
            return None
        return preview(self.run, config, self._first_rows)

    @property
    def _grown_source(self) -> Source | None:
        """The source of a run that has prompts of it already."""
        config = self.pipeline.prompts or self.pipeline.imports
        there = self.run is not None and self.run.manifest.kind == self.pipeline.kind
        return config if there and self.run and self.run.table("prompts").shards() else None

    def _list_new_rows(self) -> list[Row]:
        if self.growth is not None:
            return self.growth.first
        config = self._grown_source
        if config is None or self.run is None or self._new_rows == "none":
            return []
        return read_new_rows(self.run, config, self._first_rows)

    @cached_property
    def tokenizer(self) -> TextTokenizer:
        """The policy's tokenizer. Raises `ConfigError`, `InputError`."""
        from dfgen.tokens.loading import load_tokenizer

        return load_tokenizer(*name_tokenizer(self.pipeline))

    def list_engines(self) -> list[EngineUse]:
        """List the engines of the stages to run, in the order of their use."""
        pipeline = self.pipeline
        several = pipeline.repair.engines
        repairer = "repair.engines[0]" if several else "repair.engine"
        named: list[tuple[str, str, EngineConfig | None]] = [
            ("sample", "policy", pipeline.policy),
            ("repair", repairer, pipeline.repair.engine),
            *(
                ("repair", f"repair.engines[{number}]", config)
                for number, config in enumerate(several[1:], 1)
            ),
            ("score", "score.engine" if pipeline.score.engine else "policy", pipeline.scorer),
            ("value", "value.engine" if pipeline.value.engine else "policy", pipeline.continuer),
        ]
        uses: list[EngineUse] = []
        for stage in (each for each in self.stages if each not in self._unasked):
            for of, section, config in named:
                known = [use for use in uses if use.config == config]
                if of == stage and config is not None and not known:
                    uses.append(EngineUse(stage, section, config, first=not uses))
        return uses


def _list_open(
    pipeline: Pipeline, stages: Sequence[Stage], run: Run | None, redone: Collection[Stage]
) -> Iterator[Stage]:
    """The stages that the pipeline has and that have something left to do."""
    fresh = run is None
    for stage in stages:
        fresh = fresh or stage in redone
        if stage == REGRADE:
            yield stage
        elif stage == "prompts":
            if fresh or run is None or not has_read(run, pipeline):
                fresh = True
                yield stage
        elif is_wanted(pipeline, stage) and (fresh or _is_open(run, stage)):
            fresh = fresh or stage in STAGES
            yield stage


def _is_open(run: Run | None, stage: Stage) -> bool:
    assert run is not None
    shards = run.table(list_inputs(stage)[0]).shards()
    return any(not run.is_done(stage, shard) for shard in shards)
