"""Finds the cells of a row by dotted column names, and says what is there when one is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dfgen.config.pairs import PairColumns
from dfgen.config.prompts import Columns, SourceConfig
from dfgen.errors import InputError, guess_name

MISSING: Any = object()
"""What `find_value` returns for a column that the row does not have."""

NAMED_LEVELS = 16
"""Structs inside structs whose fields have dotted names."""

_SHOWN = 30

PAIR_EXTRAS = ("id", "completion_ids", "question")
"""Columns of pairs that are used under these names when they are there."""


def find_value(values: Mapping[str, Any], name: str) -> Any:
    """Return the cell of a column; a dotted name reaches into structs.

    A column whose own name holds the dot comes first. Null inside the path is null.
    """
    if name in values:
        return values[name]
    head, dot, rest = name.partition(".")
    if not dot or head not in values:
        return MISSING
    inner = values[head]
    if inner is None:
        return None
    return find_value(inner, rest) if isinstance(inner, Mapping) else MISSING


def suggest_field(struct: Mapping[str, Any], column: str) -> str:
    """Name a field of a struct as settings do: the first that holds text, or else the first.

    Args:
        column: that holds the struct.
    """
    names = [name for name, value in struct.items() if isinstance(value, str)] or list(struct)
    return f"{column}.{(names or ['text'])[0][:_SHOWN]}"


def get_value(values: Mapping[str, Any], name: str | None) -> Any:
    """Return the cell of a column; None if the column is not named or the row does not have it."""
    value = MISSING if name is None else find_value(values, name)
    return None if value is MISSING else value


def list_names(
    values: Mapping[str, Any], prefix: str = "", levels: int = NAMED_LEVELS
) -> list[str]:
    """Return the names of all columns of a row, those inside structs dotted.

    Args:
        levels: structs inside structs that are looked into; rows may be thousands deep.
    """
    names = []
    for name, value in values.items():
        names.append(prefix + name)
        if isinstance(value, Mapping) and levels > 1:
            names.extend(list_names(value, f"{prefix}{name}.", levels - 1))
    return names


def list_named_columns(columns: Columns) -> dict[str, str]:
    """Return the columns that a source must have: name -> the setting that names it.

    Every field of the section names a column or a list of columns, so a field added there is
    looked for in the source without a word here.
    """
    named: dict[str, str] = {}
    for field, value in columns:
        for name in [value] if isinstance(value, str) else value or []:
            if name:
                named.setdefault(name, field)
    return named


def list_image_columns(config: SourceConfig) -> list[str]:
    """Return the columns that may hold the pictures, in order of preference, if none is named."""
    if config.source == "folder":
        return ["file_names", "file_name", "images", "image"]
    return ["images", "image"]


def list_optional_columns(config: SourceConfig) -> list[str]:
    """Return the columns that are read if the source has them, though nothing names them."""
    columns = config.columns
    names = list_image_columns(config) if columns.images is None else []
    if isinstance(columns, PairColumns):
        names += [name for name in PAIR_EXTRAS if not getattr(columns, name)]
    return names


def check_columns(config: SourceConfig, files: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the columns to read from each file of a source.

    Args:
        config: names the columns.
        files: what each file (or data set) is called, and the columns that it has.

    Raises:
        InputError: named columns are not there; lists all of them, of all files, and what is.
    """
    named = list_named_columns(config.columns)
    there = {file: dict.fromkeys(available) for file, available in files.items()}
    lacking = {
        file: {name: field for name, field in named.items() if name not in has}
        for file, has in there.items()
    }
    lacking = {file: missing for file, missing in lacking.items() if missing}
    if lacking:
        raise explain_missing_columns(lacking, sorted({n for file in lacking for n in there[file]}))
    optional = list_optional_columns(config)
    return [
        [*named, *(name for name in optional if name in has and name not in named)]
        for has in there.values()
    ]


def explain_missing_columns(
    lacking: Mapping[str, Mapping[str, str]], available: Sequence[str]
) -> InputError:
    """Return the error for columns that are not there.

    Args:
        lacking: file -> column that it lacks -> the setting that names it.
        available: the columns that these files have.
    """
    said = {
        file: ", ".join(f"{name!r} (columns.{field})" for name, field in missing.items())
        for file, missing in lacking.items()
    }
    names = list(dict.fromkeys(name for missing in lacking.values() for name in missing))
    shown = ", ".join(available[:_SHOWN]) + (", ..." if len(available) > _SHOWN else "")
    hint = f"The source has: {shown or 'no columns'}.{_guess_columns(names, available)}"
    if len(said) == 1:
        ((where, listed),) = said.items()
        what = "there is no column" if len(names) == 1 else "there are no columns"
        return InputError(f"{what} {listed}.", where=where, hint=hint)
    lines = [f"  {file}: {listed}" for file, listed in list(said.items())[:_SHOWN]]
    if len(said) > _SHOWN:
        lines.append(f"  ... and {len(said) - _SHOWN:,} more")
    what = f"{len(said):,} files lack columns:\n" + "\n".join(lines)
    return InputError(what, hint=hint)


def _guess_columns(names: Sequence[str], available: Sequence[str]) -> str:
    meant = [(name, guess_name(name, available)) for name in names]
    found = [(name, guess) for name, guess in meant if guess]
    if len(names) == 1:
        return "".join(f" Did you mean {guess!r}?" for _, guess in found)
    listed = ", ".join(f"{guess!r} for {name!r}" for name, guess in found)
    return f" Did you mean {listed}?" if listed else ""
