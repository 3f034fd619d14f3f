"""Refuses work on a run that was made with other settings, and says what there is to do."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from dfgen.errors import RunMismatchError
from dfgen.store.fields import JUDGING_FIELDS
from dfgen.store.fingerprint import Difference, find_stage
from dfgen.store.layout import Stage, list_stages

CANDIDATES = "repair.candidates"


def refuse_differences(root: Path, stage: Stage, differences: Sequence[Difference]) -> None:
    """Do nothing if there is no difference.

    Args:
        root: the run directory.
        stage: that was to work.
        differences: between what its rows depend on and what it was asked to do.

    Raises:
        RunMismatchError: names them all, and the commands that make use of the new values.
    """
    if differences:
        raise RunMismatchError(
            f"this run was made with other settings, on which {stage} depends:\n"
            + "\n".join(f"  {difference}" for difference in differences),
            where=str(root),
            hint=_advise(root, stage, differences),
        )


def _advise(path: Path, stage: Stage, differences: Sequence[Difference]) -> str:
    order = list_stages()
    first = min((find_stage(each.field, stage) for each in differences), key=order.index)
    advice = "Put the old values back to go on, or choose another directory for a new run."
    fields = {difference.field for difference in differences}
    root = shlex.quote(str(path))
    if all(field.startswith("grade.") for field in fields):
        return (
            f"{advice} `dfgen regrade {root}`, with the new values given again (--set, --pipeline "
            "FILE), grades the answers there are anew."
        )
    if fields <= {*JUDGING_FIELDS}:
        return (
            f"{advice} `dfgen repair {root} --rejudge`, with the new values given again (--set, "
            "--pipeline FILE), judges the answers of the repairer that are there by them, without "
            "a request, and asks only where it must."
        )
    if CANDIDATES in fields:
        advice += (
            " Stored answers cannot be judged by another number of candidates: what an attempt was "
            "told of the ones before it depends on that number."
        )
    return (
        f"{advice} To make {first} and what comes after it anew: `dfgen run {root} --redo {first}`"
        ", with the new values given again (--set, --pipeline FILE); it first says what that "
        "throws away."
    )
