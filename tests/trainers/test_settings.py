"""What plugins are told by the environment; where their files lie."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dfgen.errors import ConfigError
from dfgen.trainers.recipe import RECIPES, find_recipe
from dfgen.trainers.settings import read_settings


@pytest.mark.parametrize("name", RECIPES)
def test_a_name_is_the_recipe(name: str) -> None:
    assert find_recipe(name) == RECIPES[name]


def test_changes_follow_the_name() -> None:
    recipe = find_recipe("df+repair mask_mode=loss all_wrong=0.5 weights=true")
    wanted = RECIPES["df+repair"].change(mask_mode="loss", all_wrong=0.5, weights=True)
    assert recipe == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fd", "no recipe 'fd'"),
        ("df mask_mod=loss", "mask_mode"),
        ("df mask_mode", "FIELD=VALUE"),
        ("df mask_mode=half", "'half'"),
        ("df weights=maybe", "true or false"),
        ("df all_wrong=much", "a number"),
        ("df name=x", "'name=x'"),
    ],
)
def test_what_is_no_recipe_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_recipe(text)
    assert said in f"{caught.value.what} {caught.value.hint}"


def test_settings_come_from_the_environment() -> None:
    settings = read_settings({"DFGEN_DATA": "x", "DFGEN_RECIPE": "", "DFGEN_TEMPERATURE": "0.7"})
    assert (settings.data, settings.recipe.name) == ("x", "df+whole")
    assert (settings.privileged, settings.temperature) == (None, 0.7)
    for environment in ({}, {"DFGEN_DATA": ""}, {"DFGEN_DATA": "x", "DFGEN_TEMPERATURE": "warm"}):
        with pytest.raises(ConfigError, match="DFGEN_"):
            read_settings(environment)


@pytest.mark.parametrize("name", ["swift", "openrlhf"])
def test_a_plugin_lies_where_it_hides_no_trainer(name: str) -> None:
    """A trainer puts this folder first on sys.path."""
    command = [sys.executable, "-m", "dfgen.trainers", name]
    path = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    assert path.is_file()
    names = {file.stem for file in path.parent.glob("*.py")} - {"__init__"}
    assert all(stem.startswith("dfgen_") for stem in names)
