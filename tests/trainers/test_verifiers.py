"""Nodes of verifiers say of each token what the example says, by verifiers' own types."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from dfgen.export.choices import Choices
from dfgen.export.exporting import export_tables
from dfgen.store.finished import open_finished
from dfgen.trainers.example import Example
from dfgen.trainers.examples import make_examples
from dfgen.trainers.recipe import find_recipe
from tests.support.sample_run import make_run
from tests.support.trainer_envs import run_in

pytestmark = pytest.mark.trainers


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run") / "run", prompts=8, samples=4)


@pytest.mark.parametrize("recipe", ["df+repair", "df", "sft"])
def test_each_token_of_each_branch(run: Path, tmp_path: Path, recipe: str) -> None:
    finished = open_finished(run)
    export_tables(finished, ["groups"], tmp_path / "groups", flat=True)
    choices = Choices(recipe=find_recipe(recipe))
    table = tmp_path / "table"
    export_tables(finished, ["verifiers"], table, flat=True, choices=choices)
    seen = run_in(
        *("verifiers", "check_verifiers.py", str(table), str(tmp_path / "groups"), recipe),
        home=tmp_path,
    )
    assert seen["version"].startswith("0.4.")
    examples = list(make_examples(tmp_path / "groups", recipe, say=None))
    assert len(seen["stored"]) == len(seen["built"]) == len(examples) > 0
    for stored, built, example in zip(seen["stored"], seen["built"], examples, strict=True):
        check(stored, example, [])
        check(built, example, [5, 6, 7])


def check(seen: dict[str, Any], example: Example, prompt_ids: list[int]) -> None:
    assert seen["roles"] == ["user", "assistant"]
    assert seen["parents"] == [None, 0]
    assert seen["sampled"] == [False, example.kind != "repair"]
    assert seen["contents"][1] == example.text
    picture, text = seen["contents"][0]
    head, data = picture["image_url"]["url"].split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == example.images[0]["bytes"]
    assert text["text"] == example.prompt[0]["content"][1]["text"]
    before = [0.0] * len(prompt_ids)
    assert seen["token_ids"] == [*prompt_ids, *example.ids.tolist()]
    assert seen["mask"] == [False] * len(prompt_ids) + example.loss_mask.tolist()
    trained = int(example.loss_mask.sum())
    assert seen["counts"] == [
        [len(prompt_ids), len(prompt_ids), 0],
        [len(example.ids), len(example.ids), trained],
    ]
    known = example.old_logprobs is not None
    assert seen["compact"] == [[0, 0], [trained if known else 0, trained]]
    kept = example.advantages * example.loss_mask
    if example.loss == "likelihood":
        assert seen["ce"] == pytest.approx([*before, *kept.tolist()], rel=1e-6, abs=0)
        assert not any(seen["advantages"])
    else:
        assert seen["ce"] is None
        assert seen["advantages"] == pytest.approx([*before, *kept.tolist()], rel=1e-6, abs=0)
        old = (example.old_logprobs * example.loss_mask).tolist()
        assert seen["logprobs"] == pytest.approx([*before, *old], rel=1e-6, abs=0)
