"""Runs the stages of a run on this machine, in order, each where the one before it left off."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from dfgen.stages.registry import find_work
from dfgen.stages.repair.rejudge import complete_rejudge
from dfgen.stages.session import Session
from dfgen.stages.work import StageWork, run_shards
from dfgen.store.layout import STAGES, Stage
from dfgen.store.redoing import complete_redo, end_redo
from dfgen.store.run import Run


def run_stages(session: Session, stages: tuple[Stage, ...] = STAGES) -> bool:
    """Run the named stages; returns False when a stop was asked for before the end.

    The caller holds the run's lock.

    Raises:
        DfgenError: the environment is at fault; everything finished is on disk.
    """
    from dfgen.store.counts import count_stage

    with session.stop, closing(session):
        # What a process that was killed has left of them:
        complete_redo(session.run)
        complete_rejudge(session)
        for stage in stages:
            if stage == "prompts":
                read_source(session)
            elif is_wanted(session, stage):
                run_stage(session, find_work(stage))
            else:
                continue
            if session.stop.requested:
                return False
            if stage != "prompts":
                counts = count_stage(session.run, stage)
                session.run.set_stage(stage, state="done", counts=counts)
        end_redo(session.run, list_made(session.run, stages))
    return True


def list_made(run: Run, stages: Sequence[Stage]) -> set[Stage]:
    """List the stages whose tables these stages make: a source may hold answers or pairs, too."""
    read = () if run.manifest.kind == "sampled" else ("sample", "mask")
    return {*stages, *(read if "prompts" in stages else ())}


def read_source(session: Session) -> None:
    """Read what the user gave into the run's first tables.

    Answers and pairs that are there already come with their prompts, so reading them does the
    work of the stages after it, too.
    """
    kind = session.pipeline.kind
    if kind == "imported":
        from dfgen.stages.imports import run_import

        run_import(session)
    elif kind == "pairs":
        from dfgen.stages.mask.pairs import run_pairs

        run_pairs(session)
    elif kind == "retokenized":
        from dfgen.stages.mask.retokenize import run_retokenize

        run_retokenize(session)
    else:
        from dfgen.stages.ingest import run_prompts

        run_prompts(session)


def is_wanted(session: Session, stage: Stage) -> bool:
    """Say whether a stage has anything to do in a run of this kind."""
    kind = session.pipeline.kind
    if stage == "repair" and session.pipeline.repair.engine is None:
        return False  # nobody repairs: wrong trajectories stay pending and get `outcome` masks
    if stage == "score":
        return session.pipeline.score.enabled
    if stage == "value":
        return session.pipeline.value.enabled
    return kind == "sampled" or (kind == "imported" and stage != "sample")


def run_stage(session: Session, work: StageWork) -> None:
    """Do all of a stage that is left to do; one set of tools serves all shards.

    Raises:
        RunMismatchError: the run was made with other settings.
        DfgenError: the environment is at fault; everything finished is on disk.
    """
    run, pipeline = session.run, session.pipeline
    run.check_stage(work.stage, pipeline, work.list_facts(session))
    todo = session.list_unfinished(work.stage)
    if not todo:
        return
    with work.open_tools(session) as tools:
        run.check_stage(work.stage, pipeline, tools.facts)
        run.set_stage(work.stage, state="running", counts={}, **tools.notes)
        tools.progress, tools.stop, tools.tokenizer = (
            session.progress,
            session.stop,
            session.tokenizer,
        )
        run_shards(run, work, todo, tools)
    if not session.stop.requested:
        work.close(session)
