"""Runs stages on this machine, in order, each where the one before it left off."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from dfgen.config.engine import Price
from dfgen.errors import ConfigError
from dfgen.stages.session import Session, list_engine_facts
from dfgen.stages.tools import open_engine, open_graders

if TYPE_CHECKING:
    from dfgen.store.layout import Stage

STAGES: tuple[Stage, ...] = ("prompts", "sample", "repair", "mask")


def run_stages(session: Session, stages: tuple[Stage, ...] = STAGES) -> bool:
    """Run the named stages; returns False when a stop was asked for before the end.

    The caller holds the run's lock.

    Raises:
        DfgenError: the environment is at fault; everything finished is on disk.
    """
    from dfgen.store.counts import count_rows

    with session.stop, closing(session):
        for stage in stages:
            if stage == "repair" and session.pipeline.repair.engine is None:
                continue  # nobody repairs: wrong trajectories stay pending and get `outcome` masks
            _RUNNERS[stage](session)
            if session.stop.requested:
                return False
            if stage != "prompts":
                session.run.set_stage(stage, state="done", counts=count_rows(session.run)[stage])
    return True


def _ingest(session: Session) -> None:
    if session.pipeline.imports is not None:
        from dfgen.stages.imports import run_import

        run_import(session)
    else:
        from dfgen.stages.ingest import run_prompts

        run_prompts(session)


def _sample(session: Session) -> None:
    if session.pipeline.imports is not None:
        return
    from dfgen.stages.sample.stage import run_sampling

    config = session.pipeline.policy
    if config is None:
        raise ConfigError("the pipeline has no policy section.")
    session.run.check_stage("sample", session.pipeline, {})
    todo = session.list_unfinished("sample", "prompts")
    if todo:
        with open_engine(config) as engine, open_graders(session.pipeline.grade) as pool:
            session.run.check_stage("sample", session.pipeline, list_engine_facts(engine))
            run_sampling(session, engine, pool, todo)


def _repair(session: Session) -> None:
    from dfgen.stages.repair.prompt import hash_template
    from dfgen.stages.repair.requests import Repairer
    from dfgen.stages.repair.stage import run_repair

    config = session.pipeline.repair.engine
    if config is None:
        return
    facts = {"template": hash_template(session.pipeline.repair)}
    session.run.check_stage("repair", session.pipeline, facts)
    todo = session.list_unfinished("repair", "sample")
    if not todo:
        return
    with open_engine(config) as engine, open_graders(session.pipeline.grade) as pool:
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
    from dfgen.stages.mask.stage import run_masking

    session.run.check_stage("mask", session.pipeline, {"tokenizer": session.tokenizer.sha256})
    todo = session.list_unfinished("mask", "sample")
    if todo:
        run_masking(session, todo)


_RUNNERS = {"prompts": _ingest, "sample": _sample, "repair": _repair, "mask": _mask}
