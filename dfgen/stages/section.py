"""Chooses the settings with which a stage works on a run that is there: its own but for a section.

For commands that are given a run and no pipeline file (`dfgen regrade RUN`, `dfgen score RUN`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dfgen.config.load import change_pipeline, check_pipeline, load_pipeline
from dfgen.config.pipeline import Pipeline
from dfgen.errors import ConfigError, InputError, RunMismatchError
from dfgen.store.counts import WITHOUT_TRAJECTORIES
from dfgen.store.fields import NEUTRAL_FIELDS
from dfgen.store.fingerprint import ABSENT, Difference, flatten, list_defaults
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
        file: a pipeline file, of which this section is taken; None: the run's own.
        overrides: `section.field=value` strings.

    Raises:
        ConfigError: an override names another section, or a value is not allowed.
        RunMismatchError: names every other setting in which the file differs from the run.
    """
    strangers = [item for item in overrides if not item.startswith(f"{section}.")]
    if strangers:
        names = ", ".join(item.partition("=")[0] for item in strangers)
        raise ConfigError(
            f"only the {section} section can be changed, not {names}.",
            where="--set",
            hint="Other settings change what was drawn or repaired; choose another directory.",
        )
    where = str(run.root / "run.json")
    tree = dict(run.manifest.pipeline)
    if file is not None:
        new = load_pipeline(file)
        refuse_others(run, section, check_pipeline(run.manifest.pipeline, where), new)
        tree[section] = getattr(new, section).model_dump(mode="json")
    return change_pipeline(tree, overrides, where)


def refuse_others(run: Run, section: str, old: Pipeline, new: Pipeline) -> None:
    """Raise `RunMismatchError` if two pipelines differ in more than a section.

    Fields that change no row (an address, a number of processes) may differ; the run keeps its own.
    """
    before, after, defaults = flatten(old), flatten(new), list_defaults(Pipeline)
    ignored = frozenset(NEUTRAL_FIELDS)
    differences = []
    for name in sorted(before.keys() | after.keys()):
        absent = defaults.get(name, ABSENT)
        pair = before.get(name, absent), after.get(name, absent)
        if pair[0] != pair[1] and not name.startswith(f"{section}.") and name not in ignored:
            differences.append(Difference(name, *pair))
    if differences:
        raise RunMismatchError(
            f"only the {section} section can be changed, but the file differs from the run in:\n"
            + "\n".join(f"  {difference}" for difference in differences),
            where=str(run.root),
            hint=f"Give `--set {section}.FIELD=VALUE` alone, or a file with the run's other "
            "settings.",
        )
