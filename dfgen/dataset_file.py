"""Reads dfgen.json as far as all of its readers agree: that dfgen wrote it, and which dfgen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dfgen.dataset_names import FORMAT, MOST_BYTES
from dfgen.errors import DamagedFileError, InputError
from dfgen.regular_files import read_json
from dfgen.sealed_json import SEAL, is_whole
from dfgen.version import UPDATE_HINT, VERSION


def read_dataset_file(path: Path) -> dict[str, Any]:
    """Return what dfgen.json says, its own checksum included, which was compared.

    Raises:
        DamagedFileError: it is not what dfgen wrote. One without a checksum is of an earlier dfgen.
        InputError: a newer dfgen wrote it.
    """
    try:
        data: dict[str, Any] = read_json(path, MOST_BYTES)
        written = str(data["format"])
        whole = is_whole(data)
    except (ValueError, TypeError, KeyError, OSError, RecursionError) as error:
        raise DamagedFileError(
            "this is not the manifest of a data set.", where=str(path)
        ) from error
    if written.startswith("dfgen.dataset/") and written != FORMAT:
        raise InputError(
            f"its format is {written}; this dfgen ({VERSION}) reads {FORMAT}.",
            where=str(path),
            hint=UPDATE_HINT,
        )
    if whole is False:
        raise DamagedFileError(
            "the manifest of this data set is not what dfgen wrote (its checksum differs).",
            where=str(path),
            hint="Fetch or export it again; if you changed it yourself and mean it, take its key "
            f"{SEAL} out.",
        )
    return data
