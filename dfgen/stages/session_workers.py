"""Starts worker processes that hold a session, for stages whose shards need nothing but the run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dfgen.config.pipeline import Pipeline
from dfgen.stages.session import Session
from dfgen.stages.workers import ProcessPool, open_processes

if TYPE_CHECKING:
    from dfgen.tokens.tokenizer import TextTokenizer

_SESSION: list[Session] = []


def open_sessions(session: Session, workers: int) -> ProcessPool:
    """Processes in which `get_session` gives a session on the same run."""
    arguments = (session.run.root, session.run.desk, session.pipeline, session.tokenizer)
    return open_processes(workers, _open_session, *arguments)


def get_session() -> Session:
    """Return the session of this worker process."""
    return _SESSION[0]


def _open_session(
    root: Path, desk: Path | None, pipeline: Pipeline, tokenizer: TextTokenizer
) -> None:
    from dfgen.store.run import Run

    # The parent holds the run's lock, or the claims of the shards that a worker is given to write.
    run = Run.open_or_create(root, None)
    run.desk = desk
    session = Session(run, pipeline)
    session.tokenizer = tokenizer
    _SESSION[:] = [session]
