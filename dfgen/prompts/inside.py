"""Tells whether a picture's path stays in the folder of the data that names it."""

from __future__ import annotations

from pathlib import Path

from dfgen.errors import RowError

_SNAPSHOTS = "snapshots"


def check_inside(path: Path, folder: Path | None) -> None:
    """Refuse a path that leads out of a folder, links followed.

    A data set in the cache of the Hub is made of links into a folder beside it, which counts as
    inside.

    Args:
        path: absolute, or from the current directory on.
        folder: None: the data have none, so every path is outside.

    Raises:
        RowError: image_outside.
        OSError, ValueError: the path cannot be followed.
    """
    if folder is not None:
        target, root = path.resolve(), folder.resolve()
        if target.is_relative_to(root):
            return
        cached = (up.parents[1] for up in (root, *root.parents) if up.parent.name == _SNAPSHOTS)
        if any(target.is_relative_to(repository / "blobs") for repository in cached):
            return
    raise RowError(
        "image_outside",
        "the path leads out of the folder of the data. Set prompts.image_root to the folder of the"
        " pictures; or, if you trust the data, prompts.images.stay_inside to false",
    )
