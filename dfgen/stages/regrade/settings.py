"""Chooses the settings a run is graded anew with, and makes them the run's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dfgen.config.load import change_pipeline, check_pipeline, load_pipeline
from dfgen.config.pipeline import Pipeline
from dfgen.errors import ConfigError, InputError, RunMismatchError
from dfgen.store.counts import WITHOUT_TRAJECTORIES
from dfgen.store.fields import CUT_FIELDS, NEUTRAL_FIELDS
from dfgen.store.fingerprint import ABSENT, Difference, compute_digest, flatten, list_defaults
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
    if run.manifest.kind in WITHOUT_TRAJECTORIES:
        raise InputError(
            "there is nothing to grade: this run holds masks, but no answers of its own.",
            where=str(run.root),
        )
    strangers = [item for item in overrides if not item.startswith(_SECTION)]
    if strangers:
        names = ", ".join(item.partition("=")[0] for item in strangers)
        raise ConfigError(
            f"only the grade section can be changed, not {names}.",
            where="--set",
            hint="Other settings change what was drawn or repaired; choose another directory.",
        )
    where = str(run.root / "run.json")
    old = check_pipeline(run.manifest.pipeline, where)
    tree = dict(run.manifest.pipeline)
    if file is not None:
        new = load_pipeline(file)
        refuse_others(run, old, new)
        tree["grade"] = new.grade.model_dump(mode="json")
    return change_pipeline(tree, overrides, where)


def refuse_others(run: Run, old: Pipeline, new: Pipeline) -> None:
    """Raise `RunMismatchError` if two pipelines differ in more than grading.

    Fields that change no row (an address, a number of processes) may differ; the run keeps its own.
    """
    before, after, defaults = flatten(old), flatten(new), list_defaults(Pipeline)
    ignored = {*NEUTRAL_FIELDS, *CUT_FIELDS}
    differences = []
    for name in sorted(before.keys() | after.keys()):
        absent = defaults.get(name, ABSENT)
        pair = before.get(name, absent), after.get(name, absent)
        if pair[0] != pair[1] and not name.startswith(_SECTION) and name not in ignored:
            differences.append(Difference(name, *pair))
    if differences:
        raise RunMismatchError(
            "only the grade section can be changed, but the file differs from the run in:\n"
            + "\n".join(f"  {difference}" for difference in differences),
            where=str(run.root),
            hint="Give `--set grade.FIELD=VALUE` alone, or a file with the run's other settings.",
        )


def name_settings(pipeline: Pipeline) -> str:
    """Hex digest of what grades: the section, and the version of dfgen."""
    grade = pipeline.grade.model_dump(mode="json")
    return compute_digest({"grade": grade, "dfgen": VERSION})


def list_changes(run: Run, pipeline: Pipeline) -> list[str]:
    """List the grade settings that differ from the run's, a line each."""
    old = flatten(check_pipeline(run.manifest.pipeline, str(run.root)).grade, _SECTION)
    new = flatten(pipeline.grade, _SECTION)
    return [str(Difference(name, old[name], new[name])) for name in new if old[name] != new[name]]
