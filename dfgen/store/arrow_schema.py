"""Derives the Parquet schema of a record from its annotations."""

from __future__ import annotations

import types
import typing
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import BaseModel

from dfgen.arrow_types import Arrow

if TYPE_CHECKING:
    import pyarrow as pa


def arrow_schema(model: type[BaseModel]) -> pa.Schema:
    """Derive the Arrow schema of a record from its annotations, field order kept.

    The schema's metadata names record and version (`dfgen.schema`), so that a reader can refuse a
    file it does not understand.
    """
    import pyarrow as pa

    fields = [
        pa.field(name, _arrow_type(hint), nullable=_is_optional(hint))
        for name, hint in _field_hints(model).items()
    ]
    name = getattr(model, "SCHEMA", "")
    return pa.schema(fields, metadata={"dfgen.schema": name} if name else None)


def _field_hints(model: type[BaseModel]) -> dict[str, Any]:
    hints = typing.get_type_hints(model, include_extras=True)
    return {name: hints[name] for name in model.model_fields}


def _is_optional(hint: Any) -> bool:
    return typing.get_origin(hint) in (Union, types.UnionType) and type(None) in typing.get_args(
        hint
    )


def _arrow_type(hint: Any) -> pa.DataType:
    import pyarrow as pa

    plain = {str: pa.string(), bool: pa.bool_(), bytes: pa.binary(), float: pa.float64()}
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if _is_optional(hint):
        (inner,) = [arg for arg in args if arg is not type(None)]
        return _arrow_type(inner)
    if origin is Annotated:
        return pa.type_for_alias(next(mark.name for mark in args[1:] if isinstance(mark, Arrow)))
    if origin is list:
        return pa.list_(_arrow_type(args[0]))
    if origin is Literal:
        return pa.string()
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return pa.struct(
            [
                pa.field(name, _arrow_type(inner), nullable=_is_optional(inner))
                for name, inner in _field_hints(hint).items()
            ]
        )
    if hint not in plain:
        raise TypeError(f"no Arrow type for {hint!r}: annotate it with Arrow(...)")
    return plain[hint]
