"""Runs stages on this machine, in order, each where the one before it left off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from dfgen.config.engine import EngineConfig, Price
from dfgen.engines.base import Engine
from dfgen.errors import ConfigError
from dfgen.runners.session import Session, list_engine_facts

if TYPE_CHECKING:
    from dfgen.grade.pool import GradePool
    from dfgen.store.layout import Stage

STAGES: tuple[Stage, ...] = ("prompts", "sample", "repair", "mask")


def run_stages(session: Session, stages: tuple[Stage, ...] = STAGES) -> bool:
    """Run the named stages; returns False when a stop was asked for before the end.

    The caller holds the run's lock.

    Raises:
        DfgenError: the environment is at fault; everything finished is on disk.
    """
    from dfgen.store.counts import counts

    with session.stop, closing(session):
        for stage in stages:
            if stage == "repair" and session.pipeline.repair.engine is None:
                continue  # nobody repairs: wrong trajectories stay pending and get `outcome` masks
            _RUNNERS[stage](session)
            if session.stop.requested:
                return False
            if stage != "prompts":
                session.run.set_stage(stage, state="done", counts=counts(session.run)[stage])
    return True


def _ingest(session: Session) -> None:
    if session.pipeline.imports is not None:
        from dfgen.runners.importing import run_import

        run_import(session)
    else:
        from dfgen.runners.prompts import run_prompts

        run_prompts(session)


def _sample(session: Session) -> None:
    if session.pipeline.imports is not None:
        return
    from dfgen.runners.sampling import run_sampling

    config = session.pipeline.policy
    if config is None:
        raise ConfigError("the pipeline has no policy section.")
    session.run.check_stage("sample", session.pipeline, {})
    todo = session.list_unfinished("sample", "prompts")
    if todo:
        with open_engine(config) as engine, open_graders(session) as pool:
            session.run.check_stage("sample", session.pipeline, list_engine_facts(engine))
            run_sampling(session, engine, pool, todo)


def _repair(session: Session) -> None:
    from dfgen.runners.repairing import run_repair
    from dfgen.stages.repair import Repairer
    from dfgen.stages.repair_prompt import hash_template

    config = session.pipeline.repair.engine
    if config is None:
        return
    facts = {"template": hash_template(session.pipeline.repair)}
    session.run.check_stage("repair", session.pipeline, facts)
    todo = session.list_unfinished("repair", "sample")
    if not todo:
        return
    with open_engine(config) as engine, open_graders(session) as pool:
        session.run.check_stage("repair", session.pipeline, facts | list_engine_facts(engine))
        repairer = Repairer(
            session.pipeline.repair,
            engine,
            session.tokenizer,
            pool,
            session.pipeline.mask,
            session.pipeline.seed,
            config.price if config.engine == "openai" else Price(),
        )
        run_repair(session, repairer, todo)


def _mask(session: Session) -> None:
    from dfgen.runners.masking import run_masking

    session.run.check_stage("mask", session.pipeline, {"tokenizer": session.tokenizer.sha256})
    todo = session.list_unfinished("mask", "sample")
    if todo:
        run_masking(session, todo)


_RUNNERS = {"prompts": _ingest, "sample": _sample, "repair": _repair, "mask": _mask}


@contextmanager
def open_engine(config: EngineConfig) -> Iterator[Engine]:
    """Load an engine and close it again."""
    from dfgen.engines.loading import load_engine

    with closing(load_engine(config)) as engine:
        yield engine


@contextmanager
def open_graders(session: Session) -> Iterator[GradePool]:
    """Worker processes for graders that can hang."""
    from dfgen.grade.pool import GradePool

    with GradePool(session.pipeline.grade) as pool:
        yield pool
