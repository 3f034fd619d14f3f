"""Writes tables of a run into a folder, with their manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfgen.errors import InputError, StorageError
from dfgen.export.digest import MaskDigest
from dfgen.export.manifest import DatasetManifest, FileEntry, TableEntry, hide_folder
from dfgen.export.names import MANIFEST, Config
from dfgen.export.origin import describe_origin
from dfgen.export.schema import make_schema
from dfgen.export.shard import count_left_out
from dfgen.export.tables import TableMaker
from dfgen.export.writing import write_files
from dfgen.store.atomic_files import replace_file
from dfgen.store.os_errors import explain_os_errors

if TYPE_CHECKING:
    import pyarrow as pa

    from dfgen.store.finished import FinishedRun

Say = Callable[[str], None]


def export_tables(
    finished: FinishedRun,
    configs: Sequence[Config],
    out: Path,
    *,
    flat: bool = False,
    say: Say = lambda _: None,
) -> DatasetManifest:
    """Write tables and dfgen.json into a folder.

    Args:
        finished: the run (`dfgen.store.finished.open_finished`).
        configs: which tables.
        out: the folder; what it holds of an earlier export is replaced.
        flat: put the files of the one table into `out` itself, not into `out/<config>`.
        say: told what is being written.

    Raises:
        InputError: the run has no masks yet.
        StorageError: it cannot be written, or something else is there.
    """
    run = finished.run
    if not run.table("masks").shards():
        raise InputError(
            "there is nothing to export: the mask stage has not finished any shard.",
            where=str(run.root),
            hint="`dfgen run` does all stages in order.",
        )
    _check_vacant(out)
    sha256 = find_tokenizer_sha256(finished)
    maker = TableMaker(finished.pipeline, sha256)
    tables: dict[Config, TableEntry] = {}
    for config in configs:
        say(f"writing {config}")
        folder = out if flat else out / config
        tables[config] = _write_table(maker, finished, config, folder, out)
    manifest = DatasetManifest(
        name=finished.pipeline.name,
        run_created=run.manifest.created,
        tokenizer={"name": _name_tokenizer(finished), "sha256": sha256},
        tables=tables,
        prompts_left_out=count_left_out(run),
        origin=describe_origin(run, finished.pipeline),
    )
    write_manifest(manifest, out)
    return manifest


def write_manifest(manifest: DatasetManifest, out: Path) -> None:
    """Put dfgen.json into a folder. Raises `StorageError`."""
    path = out / MANIFEST
    with explain_os_errors(path, "write"), replace_file(path) as temporary:
        temporary.write_bytes(manifest.encode())


def find_tokenizer_sha256(finished: FinishedRun) -> str:
    """The hash that the mask stage noted; where it did not, the tokenizer is loaded."""
    noted = finished.run.manifest.get_stage("mask").facts.get("tokenizer")
    return noted if isinstance(noted, str) else finished.tokenizer.sha256


def _write_table(
    maker: TableMaker, finished: FinishedRun, config: Config, folder: Path, out: Path
) -> TableEntry:
    digest = MaskDigest(config)

    def hashed() -> Iterator[pa.Table]:
        for table in maker.iter_tables(finished.run, config):
            digest.update(table)
            yield table

    files = write_files(hashed(), make_schema(config, maker.tokenizer_sha256), folder)
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


def _check_vacant(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).exists():
        raise StorageError(
            f"this directory is not empty and holds no data set (it has no {MANIFEST}).",
            where=str(out),
            hint="Choose a directory that does not exist yet, or an empty one.",
        )


def _name_tokenizer(finished: FinishedRun) -> str | None:
    from dfgen.config.pipeline import name_tokenizer

    name: Any = name_tokenizer(finished.pipeline)[0]
    return hide_folder(name)
