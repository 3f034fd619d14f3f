"""Defines what all sections of a pipeline file have in common."""

from __future__ import annotations

import types
import typing
from typing import Any

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One mapping of the pipeline file: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def list_sections(annotation: Any) -> list[type[BaseModel]]:
    """List the models that a field may hold directly: `A`, `A | None`, `Annotated[A | B, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return list_sections(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [found for part in typing.get_args(annotation) for found in list_sections(part)]
    return []
