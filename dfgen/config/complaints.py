"""Says what is wrong in a pipeline file: the field, the reason, the key that was likely meant."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Union

from pydantic import BaseModel, ValidationError

from dfgen.config.hiding import hide_secrets
from dfgen.config.pipeline import Pipeline
from dfgen.errors import guess_name

_SHOWN = 100
"""Lines; there are about as many fields."""


def explain_errors(error: ValidationError, root: type[BaseModel] = Pipeline) -> str:
    """Write one line per error."""
    lines = []
    for item in error.errors(include_url=False)[:_SHOWN]:
        path, section = _walk(root, item["loc"])
        name = ".".join(path)
        if item["type"] == "extra_forbidden":
            lines.append(f"{name} is not a field{_suggest(path[-1], section)}")
        elif item["type"] == "missing":
            lines.append(f"{name} is missing; it has no default.")
        elif item["type"] in ("union_tag_invalid", "literal_error"):
            lines.append(_explain_choice(name, item))
        elif item["type"] == "value_error":  # raised by our own validators, in whole sentences
            lines.append(": ".join(filter(None, [name, str(item["ctx"]["error"])])) + ".")
        else:
            given = hide_secrets(item["input"], path[-1] if path else "")
            lines.append(f"{name}: {item['msg']} (it is {given!r:.80}).")
    rest = error.error_count() - len(lines)
    return "\n".join(lines) + (f"\n... and {rest} more." if rest > 0 else "")


def _explain_choice(name: str, item: Mapping[str, Any]) -> str:
    """A value that is none of those there are; an engine's name is a field of its section."""
    context = item["ctx"]
    if item["type"] == "union_tag_invalid":
        name = f"{name}.{str(context['discriminator']).strip(chr(39))}"
        wrong, listed = str(context["tag"]), str(context["expected_tags"])
    else:
        wrong, listed = str(item["input"]), str(context["expected"])
    known = re.findall(r"'([^']*)'", listed)
    meant = guess_name(wrong, known)
    guess = f"; did you mean {meant!r}?" if meant else ""
    return f"{name} cannot be {wrong[:80]!r}{guess} (there are: {listed})."


def _suggest(key: str, section: type[BaseModel] | None) -> str:
    """End the sentence that a key is not a field."""
    if section is None:
        return "."
    names = list(section.model_fields)
    meant = guess_name(key, names)
    if meant:
        return f"; did you mean {meant!r}?"
    return f" (this section has: {', '.join(names)})."


def _walk(
    root: type[BaseModel], location: Sequence[int | str]
) -> tuple[list[str], type[BaseModel] | None]:
    """Follow an error's location: the names a user wrote, and the model of the last one's parent.

    A discriminated union adds its tag to the location (`policy`, `transformers`, `model`); a user
    never wrote that, so it only chooses the model.
    """
    path: list[str] = []
    choices: list[type[BaseModel]] = [root]
    parent: type[BaseModel] | None = root
    for part in location:
        tagged = [model for model in choices if _tag(model) == part]
        if len(choices) > 1 and tagged:
            choices = tagged
            continue
        parent = choices[0] if len(choices) == 1 else None
        path.append(str(part))
        field = parent.model_fields.get(str(part)) if parent else None
        choices = _find_models(field.annotation) if field else []
    return path, parent


def _tag(model: type[BaseModel]) -> Any:
    field = model.model_fields.get("engine")
    return field.default if field else None


def _find_models(hint: Any) -> list[type[BaseModel]]:
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return [hint]
    if typing.get_origin(hint) in (Union, types.UnionType, Annotated):
        return [model for arg in typing.get_args(hint) for model in _find_models(arg)]
    return []
