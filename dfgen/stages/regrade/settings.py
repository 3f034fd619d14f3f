"""Chooses the settings a run is graded anew with, and makes them the run's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dfgen.config.load import check_pipeline
from dfgen.config.pipeline import Pipeline
from dfgen.stages.section import choose_section, require_answers
from dfgen.store.fingerprint import Difference, compute_digest, flatten
from dfgen.store.run import Run
from dfgen.version import VERSION

_SECTION = "grade."


def choose_settings(run: Run, file: Path | None, overrides: Sequence[str] = ()) -> Pipeline:
    """Choose the run's own pipeline with another grade section.

    Args:
        run: has answers of its own.
        file: a pipeline file, of which the grade section is taken; None: the run's own.
        overrides: `grade.field=value` strings.

    Raises:
        InputError: the run holds no answers.
        ConfigError: an override names another section, or a value is not allowed.
        RunMismatchError: names every other setting in which the file differs from the run.
    """
    require_answers(run, "to grade")
    return choose_section(run, "grade", file, overrides)


def name_settings(pipeline: Pipeline) -> str:
    """Hex digest of what grades: the section, and the version of dfgen."""
    grade = pipeline.grade.model_dump(mode="json")
    return compute_digest({"grade": grade, "dfgen": VERSION})


def list_differences(run: Run, pipeline: Pipeline) -> list[Difference]:
    """List the grade settings that differ from the run's."""
    old = flatten(check_pipeline(run.manifest.pipeline, str(run.root)).grade, _SECTION)
    new = flatten(pipeline.grade, _SECTION)
    return [Difference(name, old[name], new[name]) for name in new if old[name] != new[name]]


def list_changes(run: Run, pipeline: Pipeline) -> list[str]:
    """List the grade settings that differ from the run's, a line each."""
    return list(map(str, list_differences(run, pipeline)))
