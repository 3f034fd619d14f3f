"""A pipeline as dotted names: which fields there are, and which values a pipeline gives them.

A field is a leaf of the configuration models; a list or a free mapping (`extra_body`) is one leaf.
Where a section is one of several models (the engines), the fields of all of them count.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

ABSENT = "(not set)"
"""Stands for a field that one of two pipelines does not have."""


def list_fields(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Every dotted field of a model, those of optional sections and of all variants included."""
    return {name for name, _ in _walk_fields(model, prefix)}


def list_defaults(model: type[BaseModel]) -> dict[str, Any]:
    """Default of every field that has one and the same in all variants, as JSON-able values."""
    defaults: dict[str, Any] = {}
    ambiguous = set()
    for name, default in _walk_fields(model, ""):
        if default is PydanticUndefined or (name in defaults and defaults[name] != default):
            ambiguous.add(name)
        else:
            defaults[name] = default
    return {name: value for name, value in defaults.items() if name not in ambiguous}


def flatten(section: BaseModel, prefix: str = "") -> dict[str, Any]:
    """Dotted name -> JSON-able value of a pipeline. Sections that are unset have no entries."""
    values: dict[str, Any] = {}
    dumped = section.model_dump(mode="json")
    for name in type(section).model_fields:
        value = getattr(section, name)
        dotted = f"{prefix}{name}"
        if isinstance(value, BaseModel):
            values |= flatten(value, f"{dotted}.")
        elif value is not None or not _sections_of(type(section).model_fields[name].annotation):
            values[dotted] = dumped[name]
    return values


def _walk_fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        sections = _sections_of(field.annotation)
        if not sections:
            yield f"{prefix}{name}", list(default) if isinstance(default, tuple) else default
        # A section's own default may differ from those of its class (`repair.decoding`).
        given = flatten(default, f"{prefix}{name}.") if isinstance(default, BaseModel) else {}
        for section in sections:
            for dotted, value in _walk_fields(section, f"{prefix}{name}."):
                yield dotted, given.get(dotted, value)


def _sections_of(hint: Any) -> list[type[BaseModel]]:
    """The models an annotation may hold directly: `A`, `A | None`, `Annotated[A | B, ...]`."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return [hint]
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _sections_of(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        return [found for part in typing.get_args(hint) for found in _sections_of(part)]
    return []
