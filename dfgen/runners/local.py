"""Runs the stages of a run on this machine, in order, each where the one before it left off."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress

from dfgen.stages.growth import has_read
from dfgen.stages.registry import find_work
from dfgen.stages.rejected import describe_rejects, refuse_excess, refuse_failed_grading
from dfgen.stages.repair.rejudge import complete_rejudge
from dfgen.stages.session import Session
from dfgen.stages.stopping import LoadingStopped
from dfgen.stages.work import StageWork, is_wanted, run_shards
from dfgen.store.counts import count_stage
from dfgen.store.dropping import complete_dropping
from dfgen.store.layout import STAGES, Kind, Stage
from dfgen.store.redoing import complete_redo, end_redo
from dfgen.store.run import Run

READ: dict[Kind, tuple[Stage, ...]] = {
    "sampled": ("prompts",),
    "imported": ("prompts", "sample"),
    "pairs": ("prompts", "mask"),
    "retokenized": ("mask",),
}
"""The stages whose work reading a source does: answers and pairs come with their prompts."""


def run_stages(session: Session, stages: tuple[Stage, ...] = STAGES) -> bool:
    """Run the named stages; returns False when a stop was asked for before the end, or a stage
    has to wait for somebody (`Session.paused`).

    The caller holds the run's lock.

    Raises:
        DfgenError: the environment is at fault, or a stage has refused too many rows; everything
            finished is on disk.
    """
    with suppress(LoadingStopped), session.stop, closing(session):
        # What a process that was killed has left of them:
        for line in complete_dropping(session.run):
            session.progress.tell(line)
        complete_redo(session.run)
        complete_rejudge(session)
        for stage in stages:
            if stage == "prompts":
                worked = read_source(session)
            elif is_wanted(session.pipeline, stage):
                worked = run_stage(session, find_work(stage))
            else:
                continue
            if session.stop.requested or session.paused:
                return False
            if stage != "prompts":
                counts = count_stage(session.run, stage)
                session.run.set_stage(stage, state="done", counts=counts)
            finish_stage(session, stage, worked=worked)
        end_redo(session.run, list_made(session.run, stages))
        return True
    return False


def list_made(run: Run, stages: Sequence[Stage]) -> set[Stage]:
    """List the stages whose tables these stages make."""
    read = READ[run.manifest.kind] if "prompts" in stages else ()
    return {*stages, *read}


def finish_stage(session: Session, stage: Stage, *, worked: bool) -> None:
    """Say what a stage has refused, and end the run if that is too much.

    Args:
        worked: whether it had anything to do in this start; else it has said so before.

    Raises:
        UnusableRowsError: more than `max_reject_ratio`, or a grader that failed on every answer.
    """
    run = session.run
    for each in READ[session.pipeline.kind] if stage == "prompts" else (stage,):
        told = describe_rejects(run, each) if worked else None
        if told is not None:
            session.progress.tell(told)
        refuse_excess(run, each, session.pipeline.max_reject_ratio)
        if each == "sample":
            refuse_failed_grading(run)


def read_source(session: Session) -> bool:
    """Read what the user gave into the run's first tables; says whether that added anything.

    It does the work of the stages in `READ`. A source may be read again and add nothing: when a
    picture was missing, for one.
    """
    kind = session.pipeline.kind
    before = None if is_source_read(session) else _count_read(session)
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
    return before is not None and before != _count_read(session)


def _count_read(session: Session) -> list[dict[str, int]]:
    """Count the rows of the stages in `READ`."""
    return [count_stage(session.run, stage) for stage in READ[session.pipeline.kind]]


def is_source_read(session: Session) -> bool:
    """Say whether the run has all that the user gave, as it is now."""
    kind = session.pipeline.kind
    if kind in ("sampled", "imported"):
        return has_read(session.run, session.pipeline)
    return session.run.manifest.get_stage(READ[kind][-1]).state == "done"


def run_stage(session: Session, work: StageWork) -> bool:
    """Do all of a stage that is left to do; one set of tools serves all shards.

    Returns:
        Whether anything was left to do.

    Raises:
        RunMismatchError: the run was made with other settings.
        DfgenError: the environment is at fault; everything finished is on disk.
    """
    run, pipeline = session.run, session.pipeline
    run.check_stage(work.stage, pipeline, work.list_facts(session))
    todo = session.list_unfinished(work.stage)
    if not todo:
        return False
    with work.open_tools(session) as tools:
        run.check_stage(work.stage, pipeline, tools.facts)
        run.set_stage(work.stage, state="running", counts={}, **tools.notes)
        tools.progress, tools.stop, tools.tokenizer = (
            session.progress,
            session.stop,
            session.tokenizer,
        )
        run_shards(run, work, todo, tools)
        session.paused = tools.paused
    if not session.stop.requested and not session.paused:
        work.close(session)
    return True
