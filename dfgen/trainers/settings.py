"""Reads what a trainer's plugin is told by environment variables, where no argument reaches it.

DFGEN_DATA         groups: a folder, a file, or the id of a data set on the Hub
DFGEN_RECIPE       what is trained on: a name and changes, `df+whole mask_mode=loss`
DFGEN_PRIVILEGED   ms-swift: folder or file of `dfgen export --to privileged`
DFGEN_TEMPERATURE  at which the trainer divides logits; 1 if unset
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from dfgen.errors import ConfigError
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
        recipe=find_recipe(given.get("DFGEN_RECIPE") or DEFAULT_RECIPE),
        privileged=given.get("DFGEN_PRIVILEGED") or None,
        temperature=temperature,
    )
