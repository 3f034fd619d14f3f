"""Loads or reaches the repairers of a run, after judging what they have answered before."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from dfgen.config.engine import EngineConfig
from dfgen.engines.base import Engine
from dfgen.engines.late import LateEngine
from dfgen.stages.lanes import is_waiting, open_lane
from dfgen.stages.repair.answered import find_answered
from dfgen.stages.session import Session, describe_engine, list_engine_facts

if TYPE_CHECKING:
    from dfgen.config.repair import RepairConfig


class Opening:
    """What it takes to open the repairers of a run.

    Args:
        session: of the run.
        stack: closes what was opened.
        facts: what repairs depend on and is known without the repairers.
    """

    def __init__(self, session: Session, stack: ExitStack, facts: Mapping[str, str]) -> None:
        self._session = session
        self._stack = stack
        self._facts = dict(facts)

    def prepare(self, number: int) -> Engine:
        """Return a repairer, which is opened with its first request if there are answers to judge.

        Without any there is something to ask. One to which requests were handed over that are still
        to be answered, or to which files are given, has something to take. Both are opened at once.

        Args:
            number: among the repairers of the pipeline.

        Raises:
            DfgenError: it had to be opened and cannot be.
        """
        session, config = self._session, self._get_config(number)
        has_answers = any(stage == "repair" for stage, _ in session.run.list_journals())
        if not has_answers or is_waiting(session, "repair", config, number):
            return self._open(number)
        return LateEngine(partial(self._open, number))

    def _open(self, number: int) -> Engine:
        """Open a repairer, and make sure that it is the one that the run's answers are of.

        Raises:
            RunMismatchError: it is not.
            DfgenError: it cannot be loaded or reached.
        """
        session, config = self._session, self._get_config(number)
        session.tell_loading(config)
        answered = partial(find_answered, session.run)
        engine = self._stack.enter_context(open_lane(session, "repair", config, answered, number))
        mark = f"repairer {number + 1} " if number else ""
        self._facts |= {f"{mark}{key}": fact for key, fact in list_engine_facts(engine).items()}
        session.run.check_stage("repair", session.pipeline, self._facts)
        described = describe_engine(engine)
        session.run.note_stage("repair", lambda facts: _note_engine(facts, number, described))
        return engine

    def _get_config(self, number: int) -> EngineConfig:
        repair: RepairConfig = self._session.pipeline.repair
        return repair.repairers[number]


def _note_engine(
    facts: Mapping[str, Any], number: int, described: dict[str, Any]
) -> dict[str, Any]:
    """What the manifest says of repairers, one more of which is open; null: one that never was."""
    if number == 0:
        return {"engine": described}
    further = list(facts.get("further_engines") or ())
    further += [None] * (number - len(further))
    further[number - 1] = described
    return {"further_engines": further}
