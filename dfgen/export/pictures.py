"""Puts the views of pictures (`dfgen.pictures`) into exported tables, as the policy was shown them.

A shard without a picture that needs a change keeps its column as it is, uncopied.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from dfgen.errors import InputError, RowError
from dfgen.pictures import VIEW
from dfgen.pictures.view import make_view

if TYPE_CHECKING:
    import pyarrow as pa

    from dfgen.store.finished import FinishedRun

_PIECE_BYTES = 256 * 1024 * 1024
"""Of pictures in one Arrow chunk: PNGs of photos are large, and a chunk holds 2 GiB at most."""


def show_pictures(finished: FinishedRun, prompts: pa.Table) -> pa.Table:
    """Return prompts with the views of their pictures in the column `images`.

    Args:
        finished: the run that they belong to.
        prompts: table of `dfgen.records.Prompt`.

    Raises:
        InputError: the policy of the run was shown something else than the views of today.
    """
    index = prompts.column_names.index("images")
    shown = show_column(prompts["images"])
    if shown is None:
        return prompts
    run = finished.run
    if finished.has_answers_of_its_own and run.manifest.pictures != VIEW:
        raise InputError(
            f"this run showed its pictures as {run.manifest.pictures or 'an earlier dfgen did'};"
            f" this dfgen shows some of them differently ({VIEW}), so a trainer would see other"
            " pictures than the policy.",
            where=str(run.root),
            hint="Export with the dfgen that made the run, or make a new run.",
        )
    return prompts.set_column(index, prompts.schema.field("images"), shown)


def show_column(images: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return a column of lists of pictures as views; None if every picture is its own view.

    A picture that cannot be decoded stays what it is: no model has seen it.
    """
    import pyarrow as pa

    changed = {}
    for number, chunk in enumerate(images.chunks):
        views = _find_changed(chunk.flatten().field("bytes"))
        if views:
            changed[number] = views
    if not changed:
        return None
    pieces = []
    for number, chunk in enumerate(images.chunks):
        pieces += _replace(chunk, changed[number]) if number in changed else [chunk]
    return pa.chunked_array(pieces, images.type)


def _find_changed(pictures: pa.Array) -> dict[int, bytes]:
    changed = {}
    for place in range(len(pictures)):
        scalar = pictures[place]
        if not scalar.is_valid:
            continue
        try:
            view = make_view(scalar.as_py())
        except RowError:
            continue
        if view.changed:
            changed[place] = view.data
    return changed


def _replace(chunk: pa.Array, views: dict[int, bytes]) -> list[pa.Array]:
    """Return the rows of a chunk with some of its pictures replaced, in pieces of bounded size."""
    import pyarrow as pa

    pieces, rows, size, place = [], [], 0, 0
    for scalar in chunk:
        row = scalar.as_py()
        for picture in row:
            if place in views:
                picture["bytes"] = views[place]
                picture["path"] = _name_png(picture["path"])
            place += 1
            size += len(picture["bytes"] or b"")
        rows.append(row)
        if size > _PIECE_BYTES:
            pieces.append(pa.array(rows, chunk.type))
            rows, size = [], 0
    return [*pieces, pa.array(rows, chunk.type)] if rows else pieces


def _name_png(path: str | None) -> str | None:
    """Return the name of a picture with the ending of what it is now."""
    if path is None or not PurePosixPath(path).name:
        return path
    return str(PurePosixPath(path).with_suffix(".png"))
