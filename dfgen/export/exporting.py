"""Writes tables of a run into a folder, with their manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dfgen.dataset_names import MANIFEST, STAGING
from dfgen.errors import StorageError
from dfgen.export.choices import Choices, describe_choices, settle_choices
from dfgen.export.digest import MaskDigest
from dfgen.export.making import check_sources, iter_tables, refuse_damage
from dfgen.export.manifest import (
    DatasetManifest,
    FileEntry,
    TableEntry,
    hide_folder,
    read_dataset_manifest,
)
from dfgen.export.origin import describe_origin
from dfgen.export.shard import count_left_out, count_without_prompt
from dfgen.export.tables import find_table
from dfgen.export.tables.table import ExportTable
from dfgen.export.writing import write_files
from dfgen.pictures import VIEW
from dfgen.store.atomic_files import replace_file
from dfgen.store.os_errors import explain_os_errors
from dfgen.validate.files import find_damage

if TYPE_CHECKING:
    import pyarrow as pa

    from dfgen.store.finished import FinishedRun

Say = Callable[[str], None]


def export_tables(
    finished: FinishedRun,
    names: Sequence[str],
    out: Path,
    *,
    flat: bool = False,
    choices: Choices | None = None,
    say: Say = lambda _: None,
    within_run: bool = False,
) -> DatasetManifest:
    """Write tables and dfgen.json into a folder.

    Args:
        finished: the run (`dfgen.store.finished.open_finished`).
        names: which tables (`dfgen.export.tables.TABLES`).
        out: the folder; what it holds of an earlier export of these tables is replaced.
        flat: put the files of the one table into `out` itself, not into `out/<name>`.
        choices: what the user chose beside names; None: each table's defaults.
        say: told what is being written.
        within_run: whether the folder may lie in the run's own, as what is to be published does.

    Raises:
        ConfigError: a table does not take what was chosen.
        InputError: there is no such table, or the run lacks what it is made of.
        InvalidDataError: a file of the run is missing or damaged.
        StorageError: it cannot be written, or something else is there.
    """
    run = finished.run
    chosen = [find_table(name) for name in names]
    settled = [settle_choices(table, choices or Choices()) for table in chosen]
    for table in chosen:
        check_sources(finished, table)
    if not within_run:
        _check_outside(out, run.root)
    _check_vacant(out, names, run.manifest.created)
    refuse_damage(finished, find_damage(finished.run))
    lost = count_without_prompt(finished)
    sha256 = find_tokenizer_sha256(finished)
    tables: dict[str, TableEntry] = {}
    for table, picked in zip(chosen, settled, strict=True):
        say(f"writing {table.name}")
        if lost and table.needs_prompts:
            say(f"left out of {table.name}: {lost:,} masks whose question the run does not hold")
        folder = out if flat else out / table.name
        parts = iter_tables(finished, table, sha256, picked, say)
        entry = _write_table(parts, table, sha256, folder, out)
        entry.choices = describe_choices(picked)
        entry.masks_left_out = lost if table.needs_prompts else 0
        tables[table.name] = entry
    manifest = DatasetManifest(
        name=finished.pipeline.name,
        run_created=run.manifest.created,
        tokenizer={"name": hide_folder(finished.tokenizer_name), "sha256": sha256},
        pictures=VIEW,
        tables=tables,
        prompts_left_out=count_left_out(finished),
        origin=describe_origin(finished),
    )
    write_manifest(manifest, out)
    return manifest


def write_manifest(manifest: DatasetManifest, out: Path) -> None:
    """Put dfgen.json into a folder. Raises `StorageError`."""
    path = out / MANIFEST
    with explain_os_errors(path, "write"), replace_file(path) as temporary:
        temporary.write_bytes(manifest.encode())


def find_tokenizer_sha256(finished: FinishedRun) -> str:
    """Find the hash that the mask stage noted; where it did not, the tokenizer is loaded."""
    noted = finished.run.manifest.get_stage("mask").facts.get("tokenizer")
    return noted if isinstance(noted, str) else finished.tokenizer.sha256


def _write_table(
    parts: Iterator[pa.Table], table: ExportTable, sha256: str, folder: Path, out: Path
) -> TableEntry:
    digest = MaskDigest(table)

    def note(part: pa.Table) -> pa.Table:
        digest.update(part)
        return part

    files = write_files(map(note, parts), table.make_schema(sha256), folder)
    return TableEntry(
        rows=sum(file.rows for file in files),
        trajectories=digest.trajectories,
        masks_sha256=digest.hexdigest(),
        files=[
            FileEntry(
                path=file.path.relative_to(out).as_posix(),
                rows=file.rows,
                size=file.size,
                sha256=file.sha256,
            )
            for file in files
        ],
    )


def _check_outside(out: Path, root: Path) -> None:
    """Whoever copies, validates or deletes a run means its own files; `dfgen publish` has a folder
    there that nobody else writes."""
    where, run = out.resolve(), root.resolve()
    if where.is_relative_to(run) and not where.is_relative_to(run / STAGING):
        raise StorageError(
            "this directory is the run itself, or in it, and an export stands on its own.",
            where=str(out),
            hint=f"Choose one beside it, such as {root.with_name(f'{root.name}-export')}.",
        )


def _check_vacant(out: Path, names: Sequence[str], run_created: str) -> None:
    if (out / MANIFEST).exists():
        earlier = read_dataset_manifest(out / MANIFEST)
        if earlier.run_created != run_created:
            raise StorageError(
                f"this directory holds the export of another run, begun {earlier.run_created}.",
                where=str(out),
                hint="Give each run a directory of its own, or remove that one first.",
            )
        others = [name for name in earlier.tables if name not in names]
        if others:
            raise StorageError(
                f"this directory holds the table {' and '.join(others)}, which would be lost.",
                where=str(out),
                hint="Give each table a directory of its own.",
            )
    elif out.is_dir() and any(out.iterdir()):
        raise StorageError(
            f"this directory is not empty and holds no data set (it has no {MANIFEST}).",
            where=str(out),
            hint="Choose a directory that does not exist yet, or an empty one.",
        )
