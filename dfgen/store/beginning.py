"""Begins a run in a directory that holds none: makes run.json, for one of all who try."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfgen.errors import StorageError
from dfgen.pictures import VIEW
from dfgen.store.layout import MANIFEST
from dfgen.store.manifest import (
    Manifest,
    check_vacant,
    create_manifest,
    format_now,
    load_manifest,
)

if TYPE_CHECKING:
    from pathlib import Path

    from dfgen.config.pipeline import Pipeline


def begin_run(root: Path, pipeline: Pipeline | None) -> Manifest:
    """Begin a run and return its manifest; that of another process that has begun it first.

    Raises:
        StorageError: there is no pipeline to begin one with, the directory is not empty, or it
            cannot be written.
    """
    if pipeline is None:
        raise StorageError(
            "there is no run here.",
            where=str(root),
            hint=f"A run directory holds a file {MANIFEST}; `dfgen run` makes one.",
        )
    check_vacant(root)
    manifest = Manifest(
        created=format_now(),
        kind=pipeline.kind,
        pictures=VIEW,
        pipeline=pipeline.model_dump(mode="json"),
    )
    try:
        create_manifest(root / MANIFEST, manifest)
    except FileExistsError:
        return load_manifest(root / MANIFEST)
    return manifest
