"""The recipes for repairs are pipeline files that load, with no key in them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dfgen.config.load import load_pipeline
from dfgen.config.repair import RepairConfig
from dfgen.stages.repair.prompt import TEMPLATE_FIELDS, load_template

RECIPES = Path(__file__).parents[3] / "pipelines"
NAMES = ("repair-hosted-api", "repair-vllm-72b", "repair-offline")


@pytest.mark.parametrize("name", NAMES)
def test_recipe_loads(name: str) -> None:
    path = RECIPES / f"{name}.yaml"
    pipeline = load_pipeline(path, ())
    assert pipeline.name == name
    assert pipeline.repair.engine is not None
    text = path.read_text("utf-8")
    assert "sk-" not in text
    lines = text.split("\nrepair:\n")[1].splitlines()
    commented = sum("#" in line for line in lines)
    assert commented >= len(lines) * 0.6


@pytest.mark.parametrize("name", ["hunks", "rewrite"])
@pytest.mark.parametrize("lock", [False, True])
def test_packaged_templates_have_every_field(name: str, lock: bool) -> None:
    template = load_template(RepairConfig.model_validate({"protocol": name, "prefix_lock": lock}))
    used = {field for _, field in template.parts if field is not None}
    assert used == {*TEMPLATE_FIELDS, "images"}


@pytest.mark.parametrize("field", ["necessity", "structured_output"])
def test_off_in_yaml_is_off(field: str) -> None:
    values = yaml.safe_load(f"{field}: off")
    assert getattr(RepairConfig.model_validate(values), field) == "off"
