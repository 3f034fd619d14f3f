"""Defines the unit of work: all of a stage for one shard, from the run directory and tools alone.

Whoever runs shards, on this machine or on many, opens a stage's tools once, gives it shards, and
closes it when all are done. A runner that has many shards at hand gives them together
(`run_shards`), so that one engine is fed from all of them without a pause.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from dfgen.config.engine import EngineConfig
from dfgen.config.grade import GradeConfig
from dfgen.config.pipeline import Pipeline
from dfgen.engines.base import Engine, PatientEngine, TellingEngine
from dfgen.stages.progress import Progress, Silence
from dfgen.stages.session import Session
from dfgen.stages.stopping import StopSignal
from dfgen.store.layout import Stage

if TYPE_CHECKING:
    from dfgen.engines.openai.batch.ledger import Keeping
    from dfgen.grade.pool import GradePool
    from dfgen.stages.sample.drawing_time import DrawingTime
    from dfgen.store.run import Run
    from dfgen.tokens.tokenizer import TextTokenizer


@dataclass
class Tools:
    """What a stage works with besides the run directory; a stage uses some of it.

    Attributes:
        pipeline: the effective settings.
        engine: who draws, repairs or scores.
        others: who is asked after `engine`, in order.
        drawing: counts what is drawn, pass after pass.
        graders: processes that grade.
        tokenizer: the policy's; None: loaded when it is needed.
        facts: what the rows depend on and only the tools know, for the run's fingerprint.
        notes: JSON-able, for people, in the manifest.
        progress: told how far the work is.
        stop: asked between rows whether to stop.
        paused: why a stage cannot go on now though nobody has stopped it, once it says so.
    """

    pipeline: Pipeline
    engine: Engine | None = None
    graders: GradePool | None = None
    tokenizer: TextTokenizer | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress = field(default_factory=Silence)
    stop: StopSignal = field(default_factory=StopSignal)
    paused: str = ""
    others: tuple[Engine, ...] = ()
    drawing: DrawingTime | None = None


class StageWork(Protocol):
    """A stage as a runner sees it."""

    @property
    def stage(self) -> Stage:
        """Its name; `dfgen.store.layout` says what it reads and writes."""
        ...

    def list_facts(self, session: Session) -> dict[str, str]:
        """List what its rows depend on besides settings, as far as it is known without tools."""
        ...

    def open_tools(self, session: Session) -> AbstractContextManager[Tools]:
        """Load what it works with.

        Raises:
            DfgenError: something cannot be loaded.
        """
        ...

    def run_shards(self, session: Session, tools: Tools, shards: list[int]) -> None:
        """Do all that is left to do in these shards, or until a stop is asked for.

        Raises:
            DfgenError: the environment is at fault; everything finished is on disk.
        """
        ...

    def close(self, session: Session) -> None:
        """Note in the manifest what is known only when every shard is done."""
        ...


def is_wanted(pipeline: Pipeline, stage: Stage) -> bool:
    """Say whether a stage of shards has anything to do in a run with these settings."""
    kind = pipeline.kind
    if stage == "repair" and pipeline.repair.engine is None:
        return False  # nobody repairs: wrong trajectories stay pending and get `outcome` masks
    if stage == "score":
        return pipeline.score.enabled
    if stage == "value":
        return pipeline.value.enabled
    return kind == "sampled" or (kind == "imported" and stage != "sample")


def run_shards(run: Run, work: StageWork, shards: Sequence[int], tools: Tools) -> None:
    """Do all of a stage for some shards. The caller holds the run's lock, or their claims.

    Raises:
        DfgenError: the environment is at fault; everything finished is on disk.
    """
    session = Session(run, tools.pipeline, tools.progress, tools.stop)
    if tools.tokenizer is not None:
        session.tokenizer = tools.tokenizer
    with closing(session), ExitStack() as stack:
        for engine in (tools.engine, *tools.others):
            stack.enter_context(cutting_waits(engine, tools.stop))
            if isinstance(engine, TellingEngine):
                engine.tell_waits(tools.progress.tell)
        work.run_shards(session, tools, list(shards))
        tools.paused = session.paused


@contextmanager
def open_engine(
    config: EngineConfig, stop: StopSignal, keeping: Keeping | None = None
) -> Iterator[Engine]:
    """Load an engine and close it again.

    Args:
        stop: gives the loading up.
        keeping: where requests that are out are kept (`dfgen.stages.lanes`).

    Raises:
        LoadingStopped: a stop was asked for before it was loaded.
    """
    from dfgen.engines.loading import load_engine
    from dfgen.interrupts import ending_children, shield_children

    # Engines have processes of their own, which end when what they compute is journalled.
    # vLLM, broken off while it starts its processes, may wait for ever as this one ends.
    patient = config.engine == "vllm"
    loading = stop.finishing_load() if patient else stop.giving_up()
    with shield_children(), ending_children(), loading:
        loaded = load_engine(config, keeping)
    with closing(loaded) as engine:
        yield engine


def cutting_waits(engine: Engine | None, stop: StopSignal) -> AbstractContextManager[None]:
    """While entered, a stop cuts the waits of the engine's requests that are not in flight."""
    return stop.calling(engine.cut_waits) if isinstance(engine, PatientEngine) else nullcontext()


@contextmanager
def open_graders(config: GradeConfig) -> Iterator[GradePool]:
    """Worker processes for graders that can hang."""
    from dfgen.grade.pool import GradePool

    with GradePool(config) as pool:
        yield pool
