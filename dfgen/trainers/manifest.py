"""Reads dfgen.json, which says what a data set holds and how it was made.

It has none of the code of `dfgen.export`, which needs pydantic: a trainer's environment may have
only numpy and pyarrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfgen.dataset_file import read_dataset_file
from dfgen.dataset_names import leaves_folder
from dfgen.errors import DamagedFileError, InputError


@dataclass(frozen=True)
class Manifest:
    """What dfgen.json says of one table.

    Attributes:
        files: path within the data set, bytes, and sha256 of each.
        tokenizer: sha256 of the tokenizer of all ids; None where nobody noted it.
        origin: how the data was made.
        created: when the run was begun, ISO 8601.
    """

    files: tuple[tuple[str, int, str], ...]
    tokenizer: str | None
    origin: dict[str, Any]
    created: str


def read_manifest(path: Path, table: str) -> Manifest:
    """Read what dfgen.json says of a table.

    Raises:
        DamagedFileError: it is not what dfgen wrote. One without a checksum is of an earlier dfgen.
        InputError: a newer dfgen wrote it, or it does not have that table.
    """
    data = read_dataset_file(path)
    try:
        tables = data["tables"]
        listed = tuple(
            (str(e["path"]), int(e["size"]), str(e["sha256"]))
            for e in tables.get(table, {"files": []})["files"]
        )
        origin, created = _read_origin(data.get("origin") or {}), str(data["run_created"])
        known = data["tokenizer"]["sha256"]
    except (TypeError, KeyError, AttributeError, ValueError, OverflowError) as error:
        raise DamagedFileError(
            "the manifest of this data set is damaged.", where=str(path)
        ) from error
    if table not in tables:
        raise InputError(
            f"there is no table {table}; it holds {', '.join(tables)}.",
            where=str(path.parent),
            hint=f"Write it with: dfgen export RUN --to {table} --out DIR",
        )
    for name, _, _ in listed:
        if leaves_folder(name):
            raise DamagedFileError(
                f"it lists a file outside of the data set: {name!r}.", where=str(path)
            )
    return Manifest(listed, None if known is None else str(known), origin, created)


def _read_origin(origin: Any) -> dict[str, Any]:
    """Read how data were made; what is read of it later is what it should be.

    Raises:
        TypeError, ValueError, AttributeError, OverflowError: it is not.
    """
    for name in ("sampling", "scores"):
        temperature = (origin.get(name) or {}).get("temperature")
        if temperature is not None:
            float(temperature)
    return dict(origin)
