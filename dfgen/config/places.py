"""Looks for the data that a pipeline file names: beside the file first, then where one stands.

So a folder with a pipeline file and its data can be used from anywhere, and a file that is used
from the folder of its project, as most are, works as it is. What is typed at the prompt (`--set`)
is meant from where it is typed.
"""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any

SECTIONS = ("prompts", "imports", "pairs", "value")
FIELDS = ("path", "image_root", "masks")


def find_beside(tree: dict[str, Any], folder: Path) -> None:
    """Put the folder of a pipeline file before relative paths of data that lie beside it.

    Args:
        tree: the parsed file, changed in place; whatever is no path there is left alone.
        folder: of the file.
    """
    if folder.resolve() == Path.cwd():
        return
    for name in SECTIONS:
        section = tree.get(name)
        if not isinstance(section, dict):
            continue
        for field in FIELDS:
            value = section.get(field)
            if isinstance(value, str):
                section[field] = _move(value, folder)
            elif isinstance(value, dict):
                section[field] = {
                    key: _move(each, folder) if isinstance(each, str) else each
                    for key, each in value.items()
                }
            elif isinstance(value, list):
                section[field] = [
                    _move(each, folder) if isinstance(each, str) else each for each in value
                ]


def _move(text: str, folder: Path) -> str:
    """The path by way of `folder` if it leads somewhere, else the text itself."""
    if not text or Path(text).is_absolute() or text.startswith("~") or "\0" in text:
        return text
    moved = folder / text
    try:
        there = moved.exists() or (glob.has_magic(text) and _has_match(moved))
    except OSError:  # too long for a path
        return text
    return str(moved) if there else text


def _has_match(pattern: Path) -> bool:
    return next(glob.iglob(str(pattern), recursive=True), None) is not None  # noqa: PTH207
