"""Chooses the settings with which a stage works on a run that is there: its own but for a section.

For commands that are given a run and no pipeline file (`dfgen regrade RUN`, `dfgen score RUN`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dfgen.config.pipeline import Pipeline
from dfgen.errors import InputError, RunMismatchError
from dfgen.store.counts import WITHOUT_TRAJECTORIES
from dfgen.store.fields import NEUTRAL_FIELDS
from dfgen.store.fingerprint import compare_pipelines
from dfgen.store.run import Run


def require_answers(run: Run, deed: str) -> None:
    """Refuse a run that holds masks alone.

    Args:
        run: to work on.
        deed: what needs answers, as in "to score".

    Raises:
        InputError: it holds no answers of its own.
    """
    if run.manifest.kind in WITHOUT_TRAJECTORIES:
        raise InputError(
            f"there is nothing {deed}: this run holds masks, but no answers of its own.",
            where=str(run.root),
        )


def choose_section(
    run: Run, section: str, file: Path | None, overrides: Sequence[str] = ()
) -> Pipeline:
    """Choose the run's own pipeline with another section.

    Args:
        run: as it is.
        section: `grade`, `score` or `value`.
        file: a pipeline file, whole or of some sections; None: the run's own.
        overrides: `a.b=value` strings.

    Raises:
        ConfigError: a value is not allowed.
        RunMismatchError: names every setting outside of the section on which rows depend and that
            differs from the run's.
    """
    new = run.read_pipeline(overrides, file)
    refuse_others(run, section, new)
    return new


def refuse_others(run: Run, section: str, new: Pipeline) -> None:
    """Raise `RunMismatchError` if a pipeline differs from the run's in more than a section.

    Fields that change no row (an address, a number of processes) may differ.
    """
    differences = [
        difference
        for difference in compare_pipelines(run.manifest.pipeline, new.model_dump(mode="json"))
        if not difference.field.startswith(f"{section}.") and difference.field not in NEUTRAL_FIELDS
    ]
    if differences:
        raise RunMismatchError(
            f"only the {section} section and fields that change no row can be changed here, not:\n"
            + "\n".join(f"  {difference}" for difference in differences),
            where=str(run.root),
            hint="`dfgen run RUN` takes settings of all stages, and says what depends on them.",
        )
