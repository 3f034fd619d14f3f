"""Checks an exported or fetched folder against its dfgen.json: every file, byte for byte."""

from __future__ import annotations

from pathlib import Path

from dfgen.dataset_names import MANIFEST, MOST_BYTES
from dfgen.errors import DamagedFileError
from dfgen.regular_files import read_json
from dfgen.store.entries import hash_file


def check_export(folder: Path) -> tuple[list[str], int]:
    """Compare the files of a folder with what its dfgen.json lists.

    Returns:
        What is wrong, a sentence each; and the number of files that are listed.

    Raises:
        DamagedFileError: dfgen.json is not what dfgen wrote.
        StorageError: a file cannot be read.
    """
    try:
        manifest = read_json(folder / MANIFEST, MOST_BYTES)
        listed = [
            (str(entry["path"]), str(entry["sha256"]))
            for table in manifest["tables"].values()
            for entry in table["files"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise DamagedFileError(
            "this is not the manifest of a data set.", where=str(folder / MANIFEST)
        ) from error
    problems = []
    for name, sha256 in listed:
        path = folder / name
        if not _is_inside(path, folder):
            problems.append(f"{name!r}: leads out of the folder")
        elif not path.is_file():
            problems.append(f"{name}: is missing")
        elif hash_file(path) != sha256:
            problems.append(f"{name}: is not the file that {MANIFEST} lists (its sha256 differs)")
    known = {name for name, _ in listed}
    for path in sorted(folder.rglob("*.parquet")):
        name = path.relative_to(folder).as_posix()
        if name not in known:
            problems.append(f"{name}: {MANIFEST} does not list it, and `datasets` would load it")
    return problems, len(listed)


def _is_inside(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError):  # links in a circle, a null character
        return False
