"""Reads masks that the user gives to be valued beside dfgen's: another run's, or of any kind.

A mask is a Parquet file, or a folder of them, with `trajectory_id` and `loss_mask`, as in `masks/`
of every run: true or 1 at each token that is held to be wrong. Answers that it does not name are
left out of its comparison.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dfgen.errors import InputError
from dfgen.parquet_batches import iter_batches
from dfgen.regular_files import open_for_arrow
from dfgen.store.entries import hash_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dfgen.store.run import Run

COLUMNS = ["trajectory_id", "loss_mask"]

_BATCH_BYTES, _BATCH_ROWS = 16 * 1024 * 1024, 4096

PREFIX = "given_"
"""Before the user's names of them, so that none is taken for a control."""

GivenMasks = Mapping[str, Mapping[str, "NDArray[np.bool_]"]]
"""bool[T] by the name that it is shown by and trajectory_id."""


def list_files(path: Path) -> list[Path]:
    """List the Parquet files of a mask.

    Raises:
        InputError: there are none.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise InputError(
            "there is no mask: no Parquet file lies there.",
            where=str(path),
            hint="Name a Parquet file with trajectory_id and loss_mask, or a folder of them, such "
            "as `masks` of another run.",
        )
    return files


def hash_masks(paths: Mapping[str, str]) -> str:
    """Return a hash of what the files of these masks, by name, hold: hexadecimal.

    Raises:
        InputError: there is no file.
        StorageError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for name, path in sorted(paths.items()):
        digest.update(f"{name}\0".encode())
        for file in list_files(Path(path)):
            digest.update(hash_file(file).encode())
    return digest.hexdigest()


def read_masks(paths: Mapping[str, str], run: Run, chosen: Collection[str]) -> GivenMasks:
    """Read the masks of chosen trajectories, and make sure that they are of these answers.

    Args:
        paths: by the mask's name.
        run: whose answers they mark.
        chosen: trajectory_ids; others are not kept.

    Raises:
        InputError: names the file, the row and what is wrong with it: a column is missing, an
            answer is named twice or has another number of tokens, a value is none of 0 and 1; or
            none of the chosen is in it.
    """
    if not paths:
        return {}
    lengths = _read_lengths(run, chosen)
    found: dict[str, dict[str, NDArray[np.bool_]]] = {}
    for name, path in paths.items():
        masks: dict[str, NDArray[np.bool_]] = {}
        for file in list_files(Path(path)):
            for row, key, marks in _iter_masks(file, lengths):
                where = f"{file}, row {row}"
                if key in masks:
                    raise InputError(f"a second mask of trajectory {key}.", where=where)
                if marks is not None and len(marks) != lengths[key]:
                    raise InputError(
                        f"loss_mask has {len(marks):,} values, and trajectory {key} has "
                        f"{lengths[key]:,} tokens.",
                        where=where,
                        hint="A mask has one value for each of completion_ids.",
                    )
                masks[key] = _read_marks(marks, where)
        if not masks:
            raise InputError(
                f"none of the {len(lengths):,} answers that are valued is in it.",
                where=path,
                hint="trajectory_id must be that of this run's trajectories.",
            )
        found[PREFIX + name] = masks
    return found


def _read_lengths(run: Run, chosen: Collection[str]) -> dict[str, int]:
    rows = run.table("trajectories").iter_rows(columns=["trajectory_id", "completion_ids"])
    return {
        row["trajectory_id"]: len(row["completion_ids"])
        for row in rows
        if row["trajectory_id"] in chosen
    }


def _iter_masks(file: Path, wanted: Collection[str]) -> Iterator[tuple[int, str, pa.Array | None]]:
    """Yield the number of the row, counted from 1, its trajectory_id and its mask as given."""
    try:
        with pq.ParquetFile(open_for_arrow(file), pre_buffer=False) as opened:
            _check_columns(opened.schema_arrow, str(file))
            row = 0
            for batch in iter_batches(opened, _BATCH_BYTES, _BATCH_ROWS, COLUMNS):
                keys, marks = batch.column(COLUMNS[0]), batch.column(COLUMNS[1])
                for key, values in zip(keys, marks, strict=True):
                    row += 1
                    if key.as_py() in wanted:
                        yield row, key.as_py(), values.values
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"it cannot be read as Parquet: {error}", where=str(file)) from error


def _check_columns(schema: pa.Schema, where: str) -> None:
    """Raise `InputError` if a column is missing, is there twice, or holds something else."""
    missing = [name for name in COLUMNS if name not in schema.names]
    if missing:
        raise InputError(f"there is no column {' and no '.join(missing)}.", where=where)
    for name in COLUMNS:
        if schema.names.count(name) > 1:
            raise InputError(f"there are several columns {name}.", where=where)
    key, marks = (schema.field(name).type for name in COLUMNS)
    if pa.types.is_dictionary(key):
        key = key.value_type
    if not (pa.types.is_string(key) or pa.types.is_large_string(key)):
        raise InputError(f"trajectory_id is {key}, and not text.", where=where)
    if not (pa.types.is_list(marks) or pa.types.is_large_list(marks)):
        raise InputError(f"loss_mask is {marks}: it is no list of 0 and 1.", where=where)


def _read_marks(values: pa.Array | None, where: str) -> NDArray[np.bool_]:
    kinds = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating)
    marks = None
    if (
        values is not None
        and not values.null_count
        and (not len(values) or any(fits(values.type) for fits in kinds))
    ):
        marks = np.asarray(values.to_numpy(zero_copy_only=False))
    if marks is None or not np.isin(marks, (0, 1)).all():
        raise InputError(
            "loss_mask is no list of 0 and 1.",
            where=where,
            hint="Weights are no mask: say which tokens count as marked.",
        )
    return marks.astype(np.bool_)
