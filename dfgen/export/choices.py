"""Defines what a user may choose about a table beside its name, and which table takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from dfgen.errors import ConfigError

if TYPE_CHECKING:
    from dfgen.export.tables.table import ExportTable
    from dfgen.trainers.recipe import Recipe

WHOLE = 0
"""`reveal`: the whole repair is shown."""

GROUP_SIZE = 8


@dataclass(frozen=True)
class Choices:
    """What was chosen; None: the table's own default.

    Attributes:
        recipe: what is trained on.
        temperature: at which the trainer divides logits; 1 by default.
        reveal: how many edits of the repair a privileged context shows; `WHOLE`: all of it.
        group_size: samples that the trainer takes per row.
    """

    recipe: Recipe | None = None
    temperature: float | None = None
    reveal: int | None = None
    group_size: int | None = None


_DEFAULTS: dict[str, Any] = {"temperature": 1.0, "reveal": WHOLE, "group_size": GROUP_SIZE}


def settle_choices(table: ExportTable, choices: Choices) -> Choices:
    """Fill in what was not chosen, for one table; what it does not take stays None.

    Raises:
        ConfigError: the table does not take what was chosen, or has no loss for the recipe.
    """
    settled: dict[str, Any] = {}
    for field in fields(Choices):
        name, value = field.name, getattr(choices, field.name)
        if name in table.takes:
            if value is None:
                value = find_default_recipe(table) if name == "recipe" else _DEFAULTS[name]
            settled[name] = value
        elif value is not None:
            raise ConfigError(
                f"the table {table.name} takes no {name.replace('_', ' ')}.",
                hint=f"It takes {' and '.join(table.takes) or 'nothing beside its name'}; "
                "leave the option out.",
            )
        elif name == "recipe" and table.made_of == "examples":
            settled[name] = find_default_recipe(table)
    if table.check_recipe is not None:
        table.check_recipe(settled["recipe"])
    return Choices(**settled)


def find_default_recipe(table: ExportTable) -> Recipe:
    """Return the recipe of a table that is made of examples, with what its trainer needs."""
    from dfgen.trainers.recipe import find_recipe

    recipe = find_recipe(table.recipe)
    return recipe.change(**dict(table.changes)) if table.changes else recipe


def describe_choices(choices: Choices) -> dict[str, Any]:
    """Return what was chosen for dfgen.json, recipes with all that they say."""
    found = {name: value for name, value in asdict(choices).items() if value is not None}
    if "reveal" in found and found["reveal"] == WHOLE:
        found["reveal"] = "whole"
    return found


def read_recipe(name: str | None, changes: Sequence[str], table: ExportTable) -> Recipe | None:
    """Read a recipe and changes of it (`failed=full`) as they are typed.

    What the trainer of the table needs holds unless it is changed, too.

    Raises:
        ConfigError: there is no such recipe, field or value.
    """
    from dfgen.trainers.recipe import DEFAULT_RECIPE, change_recipe, find_recipe

    if name is None and not changes:
        return None
    needed = [f"{field}={value}" for field, value in table.changes]
    return change_recipe(find_recipe(name or DEFAULT_RECIPE), [*needed, *changes])
