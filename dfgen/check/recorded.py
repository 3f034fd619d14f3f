"""Looks whether a run that is there was made with the settings that it is to go on with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dfgen.check.finding import Finding, describe_error
from dfgen.errors import RunMismatchError
from dfgen.store.fingerprint import extract_facts
from dfgen.store.layout import list_stages
from dfgen.store.refusing import refuse_differences

if TYPE_CHECKING:
    from dfgen.config.pipeline import Pipeline
    from dfgen.store.run import Run


def check_recorded(run: Run, pipeline: Pipeline, root: Path) -> Iterator[Finding]:
    """Yield the refusal of each stage that would not go on, as it would be said then.

    Later stages depend on the settings of earlier ones; of these only the first stage speaks.

    What stages find out by themselves (hashes of models, templates) is taken as it was.

    Args:
        run: that is to go on.
        pipeline: the settings it is asked to go on with.
        root: how the user named it.
    """
    said: set[str] = set()
    for stage in list_stages():
        facts = extract_facts(stage, run.manifest.get_stage(stage).fingerprint)
        found = run.find_differences(stage, pipeline, facts)
        new = [difference for difference in found if difference.field not in said]
        said.update(difference.field for difference in new)
        try:
            refuse_differences(root, stage, new)
        except RunMismatchError as error:
            yield describe_error(error)
