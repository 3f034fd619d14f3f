"""Finds the cells of a row by dotted column names, and says what is there when one is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def check_columns(config: SourceConfig, available: Iterable[str], where: str) -> list[str]:
    """Return the columns to read from a source that has the columns `available`.

    Raises:
        InputError: a named column is not there; lists what is.
    """
    there = set(available)
    named = list_named_columns(config.columns)
    missing = [name for name in named if name not in there]
    if missing:
        raise explain_missing_column(missing[0], named[missing[0]], sorted(there), where)
    wanted = list(named)
    found = [name for name in list_optional_columns(config) if name in there]
    return wanted + [name for name in found if name not in named]


def explain_missing_column(name: str, field: str, available: list[str], where: str) -> InputError:
    """Return the error for a column that is not there."""
    meant = guess_name(name, available)
    shown = ", ".join(available[:_SHOWN]) + (", ..." if len(available) > _SHOWN else "")
    guess = f" Did you mean {meant!r}?" if meant else ""
    return InputError(
        f"there is no column {name!r} (columns.{field}).",
        where=where,
        hint=f"The source has: {shown or 'no columns'}.{guess}",
    )
