"""Writes everything that is to be published into a folder of the run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfgen.dataset_names import STAGING
from dfgen.errors import ConfigError
from dfgen.export.exporting import export_tables, write_manifest
from dfgen.export.making import can_make
from dfgen.export.tables import TABLES, find_table
from dfgen.publish.options import DEFAULT_TABLES, PublishOptions, Say
from dfgen.publish.release import ASSETS, README, Release, collect_release
from dfgen.store.mounts import find_scratch
from dfgen.store.os_errors import explain_os_errors

if TYPE_CHECKING:
    from dfgen.store.finished import FinishedRun


def find_folder(finished: FinishedRun, repo_id: str) -> Path:
    """Return where the files of a repository are staged."""
    return find_scratch(finished.run.root) / STAGING / repo_id.replace("/", "--")


def stage_release(
    finished: FinishedRun, options: PublishOptions, folder: Path, say: Say
) -> Release:
    """Write tables, manifest, card and plots; equal runs and options give equal files.

    Raises:
        InvalidDataError: a file of the run is missing or damaged.
        InputError: the run lacks what a table is made of, or its masks are out of date.
        StorageError: the folder cannot be written.
    """
    from dfgen.report.card import write_card
    from dfgen.report.stats import collect_numbers

    with explain_os_errors(folder, "clear"):
        if folder.exists():
            shutil.rmtree(folder)
    tables = choose_tables(finished, options, say)
    manifest = export_tables(finished, tables, folder, say=say, within_run=True)
    say("writing the card")
    numbers = collect_numbers(finished)
    del numbers["run"]  # the folder's name on this machine
    manifest = manifest.model_copy(update={"numbers": numbers})
    write_manifest(manifest, folder)
    pictures = draw_pictures(numbers)
    with explain_os_errors(folder, "write"):
        (folder / ASSETS).mkdir(exist_ok=True)
        for name, data in pictures.items():
            (folder / ASSETS / name).write_bytes(data)
        card = write_card(
            manifest.model_dump(mode="json"),
            repo_id=options.repo_id,
            license_name=options.license,
            pictures=[f"{ASSETS}/{name}" for name in pictures],
            descriptions={name: table.description for name, table in TABLES.items()},
        )
        (folder / README).write_text(card, "utf-8")
    return collect_release(folder, manifest)


def choose_tables(finished: FinishedRun, options: PublishOptions, say: Say) -> Sequence[str]:
    """Choose the tables asked for; where none were, those usual ones that the run can give.

    Raises:
        ConfigError: what was asked for is made of `groups` by a recipe, on the trainer's machine.
    """
    private = [name for name in options.tables if not find_table(name).on_hub]
    if private:
        raise ConfigError(
            f"the table {private[0]} is not published: a recipe makes it of groups, and whoever "
            "trains chooses the recipe.",
            hint="Publish groups; `dfgen.trainers` makes the same examples of them.",
        )
    if options.tables:
        return options.tables
    possible = [name for name in DEFAULT_TABLES if can_make(finished, find_table(name))]
    for name in DEFAULT_TABLES:
        if name not in possible:
            say(f"left out: {name}, which needs the questions, and this run holds none")
    return possible


def draw_pictures(numbers: dict[str, Any]) -> dict[str, bytes]:
    """Draw the plots of the report as PNG files by name, in its order; none if it draws none."""
    try:
        from dfgen.report.plots import draw_plots
    except ImportError:
        return {}
    drawn: dict[str, bytes] = draw_plots(numbers)
    return {name if name.endswith(".png") else f"{name}.png": drawn[name] for name in drawn}


def describe_rest(finished: FinishedRun) -> str | None:
    """Return what the run still has to do, in words; None: nothing."""
    from dfgen.report.stats import count_stages

    found = count_stages(finished)
    pending: dict[str, int] = {
        stage: numbers["pending"] for stage, numbers in found.items() if numbers["pending"] > 0
    }
    if finished.pipeline.repair.engine is None:
        pending.pop("repair", None)
    if not pending:
        return None
    listed = ", ".join(f"{count:,} rows of {stage}" for stage, count in pending.items())
    return f"the run is not finished: {listed} are pending"
