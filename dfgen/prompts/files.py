"""Finds the files of a source, names them in rejects, and describes them in the manifest."""

from __future__ import annotations

import datetime
import glob
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from dfgen.errors import InputError, guess_name, map_all
from dfgen.regular_files import check_regular

T = TypeVar("T")

_WHOLE = 1 << 30
_END = 16 << 20


def find_files(path: str | list[str] | None, endings: Sequence[str]) -> list[Path]:
    """Return the files that a path stands for: a file, a glob, a folder (all files below it with
    one of the endings), or a list of these. Sorted within each part; a list keeps its order.

    Raises:
        InputError: nothing is there; names every part of which that is so.
    """
    parts = path if isinstance(path, list) else [path or ""]
    found = map_all(
        lambda part: _expand(part, endings), parts, "paths of the source lead to no file"
    )
    return list(dict.fromkeys(file for files in found for file in files))


def check_each(check: Callable[[Path], T], files: Sequence[Path]) -> list[T]:
    """Return what a check says of each file.

    Raises:
        InputError: what is wrong with any of them, of all together.
    """
    return map_all(check, files, "files of the source cannot be read")


def _expand(part: str, endings: Sequence[str]) -> list[Path]:
    path = Path(part).expanduser()
    kinds = " or ".join(f"*{ending}" for ending in endings)
    if path.is_dir():
        files = [
            file
            for file in sorted(path.rglob("*"))
            if file.name.endswith(tuple(endings))
            and file.is_file()
            # Caches and half-written output of other tools stand in such folders.
            and not any(name.startswith((".", "_")) for name in file.relative_to(path).parts)
        ]
        if not files:
            raise InputError(f"the folder holds no {kinds} file.", where=part)
        return files
    if path.exists():
        try:
            check_regular(path)
        except OSError as error:
            raise explain_unreadable_file(path, error) from error
        return [path]
    if glob.has_magic(part):
        matches = sorted(Path(name) for name in glob.glob(str(path), recursive=True))  # noqa: PTH207
        files = [file for file in matches if file.is_file()]
        if not files:
            raise InputError("no file matches this pattern.", where=part, hint=_say_places(path))
        return files
    hint = " ".join(filter(None, [_suggest(path), _say_places(path)]))
    raise InputError("there is no such file.", where=part, hint=hint)


def _say_places(path: Path) -> str:
    """Where a relative path of a pipeline file was looked for; see `dfgen.config.places`."""
    if path.is_absolute():
        return ""
    return f"Looked for beside the pipeline file, then in the current folder, {Path.cwd()}."


def _suggest(path: Path) -> str:
    parent = path.parent
    if not parent.is_dir():
        return f"The folder {parent} does not exist either."
    meant = guess_name(path.name, os.listdir(parent))  # noqa: PTH208
    return f"Did you mean {parent / meant}?" if meant else f"The folder {parent} exists."


def name_files(files: Sequence[Path]) -> list[str]:
    """Return short names: the path below the deepest folder that all files share.

    Names do not depend on where the data set lies, so neither do the rows that carry them.
    """
    if len(files) == 1:
        return [_write_name(files[0].name)]
    shared = os.path.commonpath([file.absolute().parent for file in files])
    return [_write_name(file.absolute().relative_to(shared).as_posix()) for file in files]


def _write_name(name: str) -> str:
    """Write a file's name as one line of text: bytes that are no UTF-8, and what ends a line or
    moves a cursor, become escapes."""
    shown = name.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def describe_files(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Return name, size in bytes, time of change (ISO 8601, UTC) and SHA-256 of every file.

    Of a file above 1 GiB only the first and last 16 MiB are read: `sha256` is null and
    `sha256_ends` holds their hash.

    Raises:
        InputError: a file cannot be read.
    """
    described = []
    for name, file in zip(name_files(files), files, strict=True) if files else ():
        try:
            stat = file.stat()
            whole = stat.st_size <= _WHOLE
            digest = _hash_whole(file) if whole else _hash_ends(file, stat.st_size)
        except OSError as error:
            raise explain_unreadable_file(file, error) from error
        changed = datetime.datetime.fromtimestamp(stat.st_mtime, datetime.UTC)
        described.append(
            {
                "file": name,
                "size": stat.st_size,
                "mtime": changed.isoformat(timespec="seconds"),
                "sha256": digest if whole else None,
                **({} if whole else {"sha256_ends": digest}),
            }
        )
    return described


def _hash_whole(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _hash_ends(file: Path, size: int) -> str:
    with file.open("rb") as stream:
        first = stream.read(_END)
        stream.seek(size - _END)
        return hashlib.sha256(first + stream.read(_END)).hexdigest()


def explain_unreadable_file(
    file: Path | str, error: BaseException, row: int | None = None
) -> InputError:
    """Return the error for a file that cannot be opened or read on."""
    reason = str(error).strip().splitlines()
    where = f"{file}" if row is None else f"{file}:{row}"
    said = getattr(error, "strerror", None) or (reason[0] if reason else type(error).__name__)
    return InputError(f"the file cannot be read: {said}.", where=where)
