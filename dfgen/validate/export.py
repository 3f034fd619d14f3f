"""Checks an exported or fetched folder: dfgen.json itself, and every file that it lists."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dfgen.dataset_names import MANIFEST, MOST_BYTES
from dfgen.errors import DamagedFileError
from dfgen.regular_files import read_json
from dfgen.sealed_json import SEAL, is_whole
from dfgen.store.entries import hash_file


@dataclass(frozen=True, slots=True)
class ExportCheck:
    """What was found in the folder of a data set.

    Attributes:
        problems: what is wrong, a sentence each.
        files: how many dfgen.json lists.
        sealed: whether dfgen.json has a checksum of itself; an earlier dfgen gave it none.
    """

    problems: list[str]
    files: int
    sealed: bool


def check_export(folder: Path) -> ExportCheck:
    """Compare dfgen.json with its checksum, and the files of a folder with what it lists.

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
        whole = is_whole(manifest)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise DamagedFileError(
            "this is not the manifest of a data set.", where=str(folder / MANIFEST)
        ) from error
    problems = []
    if whole is False:
        problems.append(
            f"{MANIFEST}: is not the file that dfgen wrote (its checksum differs). Fetch or export "
            f"it again; if you changed it yourself and mean it, take its key {SEAL} out"
        )
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
    return ExportCheck(problems, len(listed), sealed=whole is not None)


def _is_inside(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError):  # links in a circle, a null character
        return False
