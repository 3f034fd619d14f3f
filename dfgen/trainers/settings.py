"""Reads what a trainer's plugin is told by environment variables, where no argument reaches it.

DFGEN_DATA         groups: a folder, a file, or the id of a data set on the Hub
DFGEN_RECIPE       what is trained on: a name and changes, `df+repair mask_mode=loss`
DFGEN_PRIVILEGED   ms-swift: folder or file of `dfgen export --to privileged`
DFGEN_TEMPERATURE  at which the trainer divides logits; 1 if unset
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from dfgen.errors import ConfigError, guess_name
from dfgen.trainers.recipe import DEFAULT_RECIPE, Recipe, find_recipe


@dataclass(frozen=True, slots=True)
class Settings:
    """What a plugin is told.

    Attributes:
        data: where the groups are.
        recipe: what is trained on.
        privileged: where the teacher's prompts are; None: there are none.
        temperature: of the stored log-probs that are asked for.
    """

    data: str
    recipe: Recipe
    privileged: str | None
    temperature: float


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of a plugin.

    Args:
        environment: variables; None: those of this process.

    Raises:
        ConfigError: `DFGEN_DATA` is missing, or a value is none of its choices.
    """
    given = os.environ if environment is None else environment
    if not given.get("DFGEN_DATA"):
        raise ConfigError(
            "DFGEN_DATA does not say which groups to train on.",
            where="environment",
            hint="export DFGEN_DATA=DIR, as written by: dfgen export RUN --to groups --out DIR",
        )
    warmth = given.get("DFGEN_TEMPERATURE") or "1"
    try:
        temperature = float(warmth)
    except ValueError as error:
        raise ConfigError(
            f"DFGEN_TEMPERATURE is {warmth!r}; it must be a number.", where="environment"
        ) from error
    return Settings(
        data=given["DFGEN_DATA"],
        recipe=parse_recipe(given.get("DFGEN_RECIPE") or DEFAULT_RECIPE),
        privileged=given.get("DFGEN_PRIVILEGED") or None,
        temperature=temperature,
    )


def parse_recipe(text: str) -> Recipe:
    """Read a recipe from one line: its name, then changes as `field=value`.

    `df+repair mask_mode=loss positive_loss=ratio` is the recipe `df+repair` with two changes.

    Raises:
        ConfigError: no such recipe, field or value.
    """
    name, *changes = text.split()
    recipe = find_recipe(name)
    known = {field.name for field in fields(Recipe)} - {"name"}
    chosen: dict[str, Any] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or key not in known:
            close = guess_name(key, known)
            raise ConfigError(
                f"{change!r} changes nothing of a recipe; write FIELD=VALUE.",
                where=f"recipe {text!r}",
                hint=f"Did you mean {close!r}?" if close else f"Fields: {', '.join(sorted(known))}",
            )
        chosen[key] = _read_value(key, value, getattr(recipe, key))
    return recipe.change(**chosen) if chosen else recipe


def _read_value(key: str, value: str, present: Any) -> Any:
    """The value as what the field holds now: text, truth or number."""
    if isinstance(present, bool):
        truths = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if value.lower() not in truths:
            raise ConfigError(f"recipe.{key} is {value!r}; it can be true or false.")
        return truths[value.lower()]
    if isinstance(present, float):
        try:
            return float(value)
        except ValueError as error:
            raise ConfigError(f"recipe.{key} is {value!r}; it must be a number.") from error
    return value
