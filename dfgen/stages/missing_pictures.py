"""Says whether pictures that were missing when a source was read may be there by now.

A source that is as it was need not be read again for them: where each file was looked for is known,
so one question to the file system for each rejected row will do. Only a row whose picture has an
absolute path is different, since no path of a machine is kept in a run: such rows have the source
read again at every start until their pictures are there, or `prompts.path` no longer has them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.request import url2pathname

from dfgen.config.imports import ImportConfig
from dfgen.config.prompts import PromptsConfig
from dfgen.prompts.sources import list_folders
from dfgen.store.run import Run


def may_be_there(run: Run, config: PromptsConfig | ImportConfig) -> bool:
    """Whether a row was rejected for a picture that was not there, and may be now.

    Raises:
        InputError: the source is not there.
        StorageError: a file of the run cannot be read.
    """
    folders: Collection[Path] | None = None
    for row in run.rejects("prompts").iter_rows(columns=["reason", "evidence"]):
        if row["reason"] != "image_missing":
            continue
        if folders is None:
            folders = list_folders(config)
        if _is_there(json.loads(row["evidence"]), folders):
            return True
    return False


def _is_there(evidence: Mapping[str, Any], folders: Collection[Path]) -> bool:
    path = evidence.get("path")
    if not isinstance(path, str):
        return False  # the cell named none: its row has to change, and the source with it
    if path.startswith("file://"):
        return _exists(url2pathname(path.removeprefix("file://")))
    # An earlier dfgen did not say of a mere name whether it was the end of an absolute path.
    if evidence.get("absolute", "/" not in path):
        return True
    return any(_exists(folder / path) for folder in folders)


def _exists(path: str | Path) -> bool:
    # Path.exists raises what a name that is too long, or a folder that may not be entered, gives.
    return os.path.exists(path)  # noqa: PTH110
