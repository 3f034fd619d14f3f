"""Writes a pipeline as YAML in which every value that is not the default is marked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from dfgen.terminal_text import show_text

_NO_DEFAULT = object()


def write_marked(section: BaseModel, default: Any = _NO_DEFAULT, depth: int = 0) -> Iterator[str]:
    """Yield the lines of a section's YAML; behind a value that differs stands its default.

    Args:
        section: of the pipeline file, or the whole of it.
        default: what the section is where nobody sets anything; unset: what its class says.
        depth: how far it is nested.
    """
    dumped = section.model_dump(mode="json")
    for name, field in type(section).model_fields.items():
        value, usual = getattr(section, name), _find_default(name, field, default)
        indent = "  " * depth
        if isinstance(value, BaseModel):
            unset = usual is None or usual is _NO_DEFAULT
            kind = "" if unset or type(usual) is type(value) else "  # another kind by default"
            yield f"{indent}{name}:{'  # unset by default' if usual is None else kind}"
            same_kind = not unset and type(usual) is type(value)
            yield from write_marked(value, usual if same_kind else _NO_DEFAULT, depth + 1)
            continue
        lines = _dump(name, dumped[name]).splitlines()
        yield f"{indent}{lines[0]}{_mark(value, usual)}"
        yield from (f"{indent}{line}" for line in lines[1:])


def _find_default(name: str, field: FieldInfo, default: Any) -> Any:
    if isinstance(default, BaseModel):
        return getattr(default, name)
    found = field.get_default(call_default_factory=True, validated_data={})
    return _NO_DEFAULT if found is PydanticUndefined else found


def _mark(value: Any, usual: Any) -> str:
    if usual is _NO_DEFAULT:
        return "  # yours; there is no default"
    if value == usual or (isinstance(usual, tuple) and list(usual) == value):
        return ""
    shown = _dump_flow(_plain(usual))
    return f"  # default: {shown if len(shown) <= 60 else f'{shown[:57]}...'}"


def _dump(name: str, value: Any) -> str:
    """A line for what fits into one: lists and mappings in brackets; texts of lines as they are."""
    if isinstance(value, str) and _is_block(value):
        lines = value.removesuffix("\n").split("\n")
        keep = "|" if value.endswith("\n") else "|-"
        return "\n".join([f"{name}: {keep}", *(f"  {line}" if line else "" for line in lines)])
    return f"{name}: {_dump_flow(value)}"


def _is_block(value: str) -> bool:
    whole = "\n" in value and value.strip() and not value.endswith("\n\n")
    return (
        bool(whole) and not value[0].isspace() and "\r" not in value and show_text(value) == value
    )


def _dump_flow(value: Any) -> str:
    """One line of YAML; what a terminal would obey is written with YAML's own escapes."""
    if isinstance(value, str) and "\n" in value:
        return json.dumps(value)
    options: dict[str, Any] = {"default_flow_style": True, "width": 1 << 20, "sort_keys": False}
    text = str(yaml.safe_dump(value, allow_unicode=True, **options))
    if show_text(text) != text:
        text = str(yaml.safe_dump(value, **options))
    return text.strip().removesuffix("...").strip()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return list(value) if isinstance(value, tuple) else value
