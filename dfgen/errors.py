"""Defines every failure dfgen knows, in one tree.

A bad *row* is data: code that meets one raises `RowError`, the stage turns it into a `Reject` with
its reason code, and the run goes on. A bad *environment* is an error: a `DfgenError` says what
happened, where (file, row, field) and what to do next; the command line prints that without a
traceback and exits with `exit_code`.

    Exception
    ├── DfgenError                  exit code 1
    │   ├── ConfigError             the pipeline file: unknown key, wrong value, missing file
    │   ├── InputError              the user's data: missing file, empty data set, missing column
    │   ├── EngineError             a model or server cannot be used
    │   │   └── MissingExtraError   the optional dependency is not installed
    │   ├── LaunchError             a scheduler refuses, or has lost what it was to run
    │   ├── StorageError            the run directory cannot be read or written (full, read-only)
    │   │   ├── RunLockedError      another process works on this run
    │   │   ├── RunMismatchError    the run was made with other settings
    │   │   └── DamagedFileError    a file of the run does not hold what it must
    │   ├── UnusableRowsError       too many rows were rejected, or no answer got a verdict (3)
    │   ├── InvalidDataError        `dfgen validate` found broken invariants
    │   └── PublishError            the Hub refused, could not be reached, or holds something else
    │       └── UnsafeDataError     what would be published holds secrets, local paths, GPS, ...
    └── RowError                    one row cannot go on; becomes a Reject
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar


def guess_name(wrong: str, known: Iterable[str]) -> str | None:
    """Return the name that was probably meant by a misspelt one, for "did you mean ...?".

    Words that only share an ending are no slips of each other (`completion`, `solution`): what
    counts is how many characters would have to be changed.

    Args:
        wrong: what was written.
        known: the names that there are.

    Returns:
        None if no name is like it.
    """
    wrong = wrong.lower()
    near = []
    for name in known:
        changes = count_changes(wrong, name.lower())
        if 3 * changes <= max(len(wrong), len(name)) or _is_short_for(wrong, name.lower()):
            near.append((changes, name))
    return min(near)[1] if near else None


def guess_path(wrong: Path) -> Path | None:
    """Return the path that was likely meant by one that is not there.

    Each part is looked at in turn, so slips in the names of folders and of the file are found.

    Args:
        wrong: nothing is there.

    Returns:
        None if nothing there is called alike.
    """
    found = Path(wrong.anchor)
    for part in wrong.parts[1 if wrong.anchor else 0 :]:
        if not (found / part).exists():
            try:
                meant = guess_name(part, sorted(entry.name for entry in found.iterdir()))
            except (OSError, ValueError):
                return None
            if meant is None:
                return None
            part = meant  # noqa: PLW2901
        found = found / part
    return found if found.exists() else None


def _is_short_for(wrong: str, name: str) -> bool:
    """Say whether a word is a name with letters left out, up to half of them (`img`, `image`)."""
    letters = iter(name)
    inside = all(letter in letters for letter in wrong)
    return inside and len(wrong) > 1 and wrong[0] == name[0] and 2 * len(wrong) >= len(name)


def count_changes(first: str, second: str) -> int:
    """Count the characters to replace, insert, remove or exchange with the next one to make one
    text of the other.

    Optimal string alignment, in Python, because the environments of trainers have no library for
    it and names are short.
    """
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, a in enumerate(first):
        last, before, row = before, row, [i + 1]
        for j, b in enumerate(second):
            row.append(min(before[j] + (a != b), before[j + 1] + 1, row[j] + 1))
            if i and j and a == second[j - 1] and first[i - 1] == b:
                row[-1] = min(row[-1], last[j - 1] + 1)
    return row[-1]


class DfgenError(Exception):
    """Something the user can put right.

    Args:
        what: one sentence: what happened, naming the thing it happened to.
        where: file, row or field, as precisely as it is known.
        hint: what to do next.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.hint:
            parts.append(self.hint)
        return "\n".join(parts)


T = TypeVar("T")
R = TypeVar("R")


def join_errors(errors: Sequence[DfgenError], what: str) -> DfgenError:
    """Return the only error, or one of the kind of the first that lists them all.

    The way out stands behind each.

    Args:
        errors: at least one; what says the same as one before it is left out.
        what: begins the sentence where there are several, after their number.
    """
    distinct = list({str(error): error for error in errors}.values())
    if len(distinct) == 1:
        return distinct[0]
    kind = EngineError if isinstance(distinct[0], MissingExtraError) else type(distinct[0])
    listed = "\n".join(f"- {str(error).replace(chr(10), f'{chr(10)}  ')}" for error in distinct)
    return kind(f"{len(distinct)} {what}:\n{listed}")


def map_all(call: Callable[[T], R], items: Iterable[T], what: str) -> list[R]:
    """Return what a call makes of each item.

    Raises:
        DfgenError: an item failed; what is wrong with others is said with it (`join_errors`).
    """
    done: list[R] = []
    errors: list[DfgenError] = []
    for item in items:
        try:
            done.append(call(item))
        except DfgenError as error:
            errors.append(error)
    if errors:
        raise join_errors(errors, what)
    return done


class ConfigError(DfgenError):
    """The pipeline file cannot be used as it stands."""


class InputError(DfgenError):
    """The prompts or trajectories that the user named cannot be read."""


class EngineError(DfgenError):
    """A model or a server cannot generate."""


class MissingExtraError(EngineError):
    """An optional dependency is not installed.

    Args:
        package: the module that could not be imported.
        extra: the name of the dfgen extra that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the Python package {package!r}, which is not installed.",
            hint=f"Install it with: pip install '.[{extra}]' in the clone of dfgen.",
        )


class LaunchError(DfgenError):
    """A scheduler that should start workers cannot, or its workers keep dying."""


class StorageError(DfgenError):
    """The run directory cannot be read or written."""


class RunLockedError(StorageError):
    """Another living process holds the lock of this run."""


class RunMismatchError(StorageError):
    """The run directory was made with settings that give other results."""


class DamagedFileError(StorageError):
    """A file of the run is not what the manifest or its own checksum says."""


class UnusableRowsError(DfgenError):
    """A stage left too few rows that anything can be made of."""

    exit_code = 3


class InvalidDataError(DfgenError):
    """A data set breaks the invariants it promises."""


class PublishError(DfgenError):
    """A data set could not be published; the Hub holds all of it or nothing new."""


class UnsafeDataError(PublishError):
    """What would be published must not be, unless the user allows it by name."""


class RowError(Exception):
    """One row cannot go on.

    Args:
        reason: stable code, snake_case, counted in reports (`image_corrupt`, `prompt_too_long`).
        detail: one sentence for people, naming the field and the value.
        evidence: what is needed to judge the rejection later; JSON-able.
    """

    def __init__(self, reason: str, detail: str, evidence: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.evidence = dict(evidence or {})
