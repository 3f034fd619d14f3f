"""Datums of Tinker are the examples, position by position, in the real package's types."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfgen.export.exporting import export_tables
from dfgen.store.finished import open_finished
from dfgen.trainers.example import Example
from dfgen.trainers.examples import make_examples
from dfgen.trainers.recipe import find_recipe
from dfgen.trainers.tinker import PromptBuilder
from tests.support.sample_run import make_run
from tests.support.trainer_envs import ROOT, run_in

POLICY = ROOT / "dfgen/demo/models/policy"

pytestmark = pytest.mark.trainers


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("groups")
    run = make_run(folder / "run", prompts=8, samples=4)
    export_tables(open_finished(run), ["groups"], folder / "table", flat=True)
    return folder / "table"


@pytest.fixture(scope="module")
def builder() -> PromptBuilder:
    from transformers import AutoProcessor

    return PromptBuilder(AutoProcessor.from_pretrained(POLICY))


@pytest.fixture(scope="module")
def prompts(groups: Path, builder: PromptBuilder) -> dict[str, list[int]]:
    examples = make_examples(groups, "sft", say=None)
    return {example.prompt_id: builder.encode(example) for example in examples}


def check(datum: dict[str, Any], example: Example, ids: list[int], token: int, by: int) -> None:
    """Position i predicts token i + 1 of prompt and answer; nothing is trained in the prompt."""
    sequence = [*ids, *example.ids.tolist()]
    assert datum["length"] == len(sequence) - 1
    at = 0
    pictures = iter(example.images)
    for chunk in datum["chunks"]:
        part = sequence[at : at + chunk["length"]]
        if "tokens" in chunk:
            assert chunk["tokens"] == part
            assert token not in part
        else:
            assert part == [token] * chunk["length"]
            assert chunk["format"] == "png"
            data = next(pictures)["bytes"]
            assert chunk["sha256"] == hashlib.sha256(data).hexdigest()
        at += chunk["length"]
    assert next(pictures, None) is None
    inputs = datum["inputs"]
    likelihood = example.loss == "likelihood"
    names = {"target_tokens", "weights"} if likelihood else {"target_tokens", "logprobs"}
    assert set(inputs) == names | (set() if likelihood else {"advantages"})
    for position in range(len(sequence) - 1):
        target = sequence[position + 1]
        assert inputs["target_tokens"]["data"][position] == (0 if target == token else target)
        answer = position + 1 - len(ids)
        if answer < 0:
            factor = old = 0.0
        else:
            factor = float(example.advantages[answer] * example.loss_mask[answer]) / by
            old = 0.0 if likelihood else float(example.old_logprobs[answer])
        found = inputs["weights" if likelihood else "advantages"]["data"][position]
        assert found == pytest.approx(factor, rel=1e-6, abs=0)
        if not likelihood:
            assert inputs["logprobs"]["data"][position] == old
    for name, each in inputs.items():
        assert each["dtype"] == ("int64" if name == "target_tokens" else "float32")
        assert each["shape"] == [len(sequence) - 1]


@pytest.mark.parametrize(
    "recipe",
    [
        {"recipe": "df+repair"},
        {"recipe": "df", "mask_mode": "loss"},
        {"recipe": "sft"},
        {"recipe": "grpo+repair", "positive_loss": "likelihood"},
    ],
    ids=lambda recipe: "-".join(map(str, recipe.values())),
)
def test_every_position_of_every_datum(
    groups: Path,
    builder: PromptBuilder,
    prompts: dict[str, list[int]],
    tmp_path: Path,
    recipe: dict[str, Any],
) -> None:
    file, token = tmp_path / "prompts.json", builder.image_token
    file.write_text(json.dumps(prompts))
    changes = dict(recipe)
    chosen = find_recipe(changes.pop("recipe")).change(**changes)
    seen = run_in(
        *("tinker", "check_tinker.py", str(groups), json.dumps(recipe), str(file), str(token)),
        home=tmp_path,
    )
    assert seen["version"].startswith("0.38")
    examples = list(make_examples(groups, chosen, say=None))
    assert seen["tokens"] == sum(example.divisor for example in examples) > 0
    for loss in ("ratio", "likelihood"):
        wanted = [example for example in examples if example.loss == loss]
        assert len(seen[loss]) == len(wanted)
        for datum, example in zip(seen[loss], wanted, strict=True):
            check(datum, example, prompts[example.prompt_id], token, seen["tokens"])
    for datum, example in zip(seen["alone"], examples, strict=True):
        check(datum, example, prompts[example.prompt_id], token, 1)
    assert ["runs of placeholders" in line for line in seen["refused"]] == [True]
    check_losses(seen, examples)


def check_losses(seen: dict[str, Any], examples: list[Example]) -> None:
    """Tinker's sums over these datums are the mean over the tokens that count."""
    random = np.random.default_rng(0)
    total = wanted = 0.0
    now = {id(example): random.normal(size=len(example.ids)) - 1 for example in examples}
    for loss in ("ratio", "likelihood"):
        chosen = [example for example in examples if example.loss == loss]
        for datum, example in zip(seen[loss], chosen, strict=True):
            logp, count = now[id(example)], len(example.ids)
            inputs = {
                name: np.array(each["data"][-count:]) for name, each in datum["inputs"].items()
            }
            kept = example.advantages * example.loss_mask
            if loss == "likelihood":
                total -= (inputs["weights"] * logp).sum()
                wanted -= (kept * logp).sum()
            else:
                total -= (np.exp(logp - inputs["logprobs"]) * inputs["advantages"]).sum()
                wanted -= (np.exp(logp - example.old_logprobs) * kept).sum()
    assert total == pytest.approx(wanted / seen["tokens"], rel=1e-5)


def test_a_ratio_without_log_probs_is_refused(
    groups: Path, builder: PromptBuilder, prompts: dict[str, list[int]], tmp_path: Path
) -> None:
    """Repairs have none before `dfgen score`."""
    file = tmp_path / "prompts.json"
    file.write_text(json.dumps(prompts))
    recipe, token = json.dumps({"recipe": "grpo+repair"}), str(builder.image_token)
    arguments = (str(groups), recipe, str(file), token)
    with pytest.raises(AssertionError, match="nobody knows the log-probs"):
        run_in("tinker", "check_tinker.py", *arguments, home=tmp_path)
