"""Finds the journal files of a shard: one of a run with one worker, or one of each worker it had.

In a shared run a process that was given up may still append what it is being sent. So each worker
has a file of its own in a folder of the shard, numbered in the order in which they had it, and who
has the shard reads them all. Once there is a folder, whoever comes next adds to it.
"""

from __future__ import annotations

import re
import secrets
import shutil
from pathlib import Path

from dfgen.store.atomic_files import describe_takeover

ENDING = ".jsonl"
_OWN = re.compile(r"[0-9]{4}-[0-9a-z]+\.jsonl", re.ASCII)


def find_folder(folder: Path, name: str, shard: int) -> Path:
    """Return where the files of a shard's workers are or would be.

    Args:
        folder: of the journals.
        name: what comes before the number of the shard; most often that of a stage.
    """
    return folder / f"{name}-{shard:05d}"


def list_files(folder: Path, name: str, shard: int) -> list[Path]:
    """List the journal files that a shard has, the oldest first. Raises `OSError`."""
    single, many = _find_single(folder, name, shard), find_folder(folder, name, shard)
    try:
        numbered = sorted(path for path in many.iterdir() if _OWN.fullmatch(path.name))
    except (FileNotFoundError, NotADirectoryError):
        numbered = []
    return [single, *numbered] if single.exists() else numbered


def choose_file(folder: Path, name: str, shard: int, token: str | None) -> Path:
    """Choose the file to which a process appends; it comes after those that are there.

    Args:
        token: tells the process from others; None: it has the run for itself.

    Raises:
        OSError: the folder cannot be listed.
    """
    many = find_folder(folder, name, shard)
    if token is None and not many.is_dir():
        return _find_single(folder, name, shard)
    there = [path for path in list_files(folder, name, shard) if path.parent == many]
    last = there[-1] if there else None
    if last is not None and last.name.endswith(f"-{_name(token)}{ENDING}"):
        return last
    number = 1 + (int(last.name[:4]) if last is not None else 0)
    return many / f"{number:04d}-{_name(token)}{ENDING}"


def remove_folder(path: Path, desk: Path | None = None) -> None:
    """Remove the folder that is only there for a journal file, and whatever lies in it.

    Args:
        desk: of this process, if several share the run. The folder is moved there first, which
            fails once others have taken over: what lies in it then is theirs, and paid for.

    Raises:
        RunLockedError: the desk is gone.
        OSError: the folder cannot be moved.
    """
    if not _OWN.fullmatch(path.name):
        return
    folder = path.parent
    if desk is not None:
        moved = desk / f"{folder.name}.{secrets.token_hex(4)}"
        try:
            folder = folder.rename(moved)
        except OSError as error:
            if not desk.is_dir():
                raise describe_takeover(desk) from error
            if not isinstance(error, FileNotFoundError):
                raise
            return
    shutil.rmtree(folder, ignore_errors=True)


def parse_name(path: Path) -> tuple[str, int] | None:
    """Return name and shard of a journal file, or of a folder of them; None if it is neither."""
    match = re.fullmatch(r"([a-z]+)-([0-9]{5,9})(\.jsonl)?", path.name, re.ASCII)
    return (match[1], int(match[2])) if match else None


def _find_single(folder: Path, name: str, shard: int) -> Path:
    return folder / f"{name}-{shard:05d}{ENDING}"


def _name(token: str | None) -> str:
    return "alone" if token is None else token[:12]
