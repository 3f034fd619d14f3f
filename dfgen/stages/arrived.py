"""Finds pictures that were not there when their row was read, and are now."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dfgen.prompts.files import find_files
from dfgen.prompts.folder import find_metadata
from dfgen.prompts.sources import ENDINGS

if TYPE_CHECKING:
    from dfgen.config.imports import ImportConfig
    from dfgen.config.prompts import PromptsConfig
    from dfgen.store.run import Run

_REASON = "image_missing"


def has_arrived(run: Run, config: PromptsConfig | ImportConfig) -> bool:
    """Say whether a row was refused for a picture that could not be read, and now can.

    A picture whose path was absolute is not found: rejects hold its name alone.

    Raises:
        InputError: the source is not there.
        StorageError: the run's rejects cannot be read.
    """
    names = list(_list_missing(run))
    if not names:
        return False
    folders = _list_folders(config)
    return any(_is_there(folder / name) for name in names for folder in folders)


def _list_missing(run: Run) -> Iterator[str]:
    """Paths of pictures that could not be read, as their rows have them."""
    for row in run.rejects("prompts").iter_rows(columns=["reason", "evidence"]):
        if row["reason"] == _REASON:
            path = json.loads(row["evidence"]).get("path")
            if isinstance(path, str) and path:
                yield path


def _list_folders(config: PromptsConfig | ImportConfig) -> list[Path]:
    """Folders in which pictures are looked for."""
    if config.image_root is not None:
        return [Path(config.image_root).expanduser()]
    if config.source == "folder":
        return [find_metadata(config).parent]
    if config.source not in ENDINGS:
        return []
    return sorted({file.parent for file in find_files(config.path, ENDINGS[config.source])})


def _is_there(path: Path) -> bool:
    try:
        return path.is_file() and os.access(path, os.R_OK)
    except (OSError, ValueError):  # a name that no file can have
        return False
