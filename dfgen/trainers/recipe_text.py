"""Reads recipes as people type them: a name, then changes as FIELD=VALUE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dfgen.errors import ConfigError, guess_name
from dfgen.trainers.recipe import Recipe, find_recipe


def parse_recipe(text: str) -> Recipe:
    """Read a recipe from one line, `df+repair mask_mode=loss positive_loss=ratio`.

    Raises:
        ConfigError: there is no such recipe, field or value.
    """
    name, *changes = text.split()
    return change_recipe(find_recipe(name), changes)


def change_recipe(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """Change a recipe by texts like `failed=full`; without any it is returned as it is.

    Raises:
        ConfigError: there is no such field or value.
    """
    known = {key: value for key, value in recipe.describe().items() if key != "name"}
    changed: dict[str, Any] = {}
    for text in changes:
        key, equals, value = text.partition("=")
        if not equals or key not in known:
            close = guess_name(key, known)
            raise ConfigError(
                f"{text!r} is no choice of a recipe, FIELD=VALUE.",
                hint=f"Did you mean {close}=...?" if close else f"Choices: {', '.join(known)}.",
            )
        changed[key] = _read_value(text, value, known[key])
    return recipe.change(**changed) if changed else recipe


def _read_value(text: str, value: str, default: Any) -> Any:
    if isinstance(default, bool):
        if value not in ("true", "false"):
            raise ConfigError(f"{text!r}: it can be true or false.")
        return value == "true"
    if isinstance(default, float):
        try:
            return float(value)
        except ValueError:
            raise ConfigError(f"{text!r}: it must be a number.") from None
    return value
