"""Recipes: named choices that can be written down, and refuse what is no choice."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import Any

import pytest

from dfgen.errors import ConfigError
from dfgen.trainers.recipe import DEFAULT_RECIPE, RECIPES, Recipe, find_recipe


def test_named_recipes_are_known_by_their_names() -> None:
    assert {name: recipe.name for name, recipe in RECIPES.items()} == {n: n for n in RECIPES}
    assert find_recipe(DEFAULT_RECIPE) is RECIPES["df+whole"]
    assert Recipe(name=DEFAULT_RECIPE) == RECIPES[DEFAULT_RECIPE]
    own = Recipe("own", failed="drop")
    assert find_recipe(own) is own


def test_a_recipe_can_be_written_down_and_made_again() -> None:
    for recipe in RECIPES.values():
        assert Recipe(**json.loads(json.dumps(recipe.describe()))) == recipe


def test_a_changed_recipe_has_another_name() -> None:
    changed = RECIPES["df"].change(mask_mode="loss")
    assert (changed.name, changed.mask_mode, changed.failed) == ("df+changed", "loss", "mask")
    assert RECIPES["df"].change(mask_mode="loss", name="mine").name == "mine"
    assert RECIPES["df"].change() == RECIPES["df"]


@pytest.mark.parametrize("field", [f.name for f in fields(Recipe) if f.name != "name"])
@pytest.mark.parametrize("value", ["no", -1.0, math.nan, math.inf, None, 2])
def test_what_is_no_choice_is_refused(field: str, value: Any) -> None:
    if field == "all_wrong" and value == 2:
        assert Recipe(all_wrong=2).all_wrong == 2
        return
    with pytest.raises(ConfigError, match=rf"recipe\.{field} is"):
        Recipe(**{field: value})


def test_a_choice_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no choice 'mask_modes'.*\n.*'mask_mode'"):
        RECIPES["df"].change(mask_modes="loss")


def test_an_unknown_name_is_told_the_likeliest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'df\\+repair'"):
        find_recipe("df+repairs")
    with pytest.raises(ConfigError, match="there are grpo, df,"):
        find_recipe("zzzz")


@pytest.mark.parametrize(
    ("name", "answers", "repairs"),
    [
        ("grpo", True, False),
        ("grpo+repair", True, True),
        ("df+repair", True, False),
        ("sft", False, False),
        ("right-only", True, False),
    ],
)
def test_which_examples_need_old_logprobs(name: str, answers: bool, repairs: bool) -> None:
    assert RECIPES[name].uses_ratio == (answers, repairs)


def test_a_recipe_is_typed_the_same_way_everywhere() -> None:
    typed = find_recipe("df+repair mask_mode=loss all_wrong=0.5 balance=true")
    assert typed == RECIPES["df+repair"].change(mask_mode="loss", all_wrong=0.5, balance=True)
    assert find_recipe("df") is RECIPES["df"]
    for text in ("", "dff", "df mask_mode", "df mask_mode=half", "df masc_mode=loss"):
        with pytest.raises(ConfigError):
            find_recipe(text)
