"""Tables of examples say what `make_examples` makes of the table `groups`, and nothing else."""

from __future__ import annotations

import base64
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.errors import ConfigError, InputError
from dfgen.export.choices import Choices, read_recipe, settle_choices
from dfgen.export.examples import RunGroups
from dfgen.export.exporting import export_tables
from dfgen.export.manifest import DatasetManifest, TableEntry, read_dataset_manifest
from dfgen.export.tables import TABLES
from dfgen.export.tables.openrlhf import find_runs
from dfgen.store.finished import FinishedRun, open_finished
from dfgen.trainers.example import Example
from dfgen.trainers.examples import make_examples
from dfgen.trainers.floats import list_floats
from dfgen.trainers.recipe import RECIPES, Recipe
from tests.support.sample_run import make_run

RATIO = {"mask_mode": "loss", "positive_loss": "ratio", "right_loss": "ratio"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A run of several shards, with whole groups right and whole groups wrong."""
    return open_finished(make_run(tmp_path_factory.mktemp("run") / "run", prompts=60, samples=3))


@pytest.fixture(scope="module")
def groups(finished: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("groups")
    export_tables(finished, ["groups"], folder, flat=True)
    return folder


def write(finished: FinishedRun, name: str, out: Path, **choices: Any) -> list[dict[str, Any]]:
    manifest = export_tables(finished, [name], out, flat=True, choices=Choices(**choices))
    files = manifest.tables[name].files
    return [row for file in files for row in pq.read_table(out / file.path).to_pylist()]


def compare_numbers(row: dict[str, Any], example: Example) -> None:
    assert row["trajectory_id"] == example.trajectory_id
    assert row["prompt_id"] == example.prompt_id
    assert row["kind"] == example.kind
    assert row["completion_ids"] == example.ids.tolist()
    assert row["advantages"] == example.advantages.tolist()
    assert row["loss_mask"] == example.loss_mask.tolist()
    old = example.old_logprobs
    assert row["old_logprobs"] == (None if old is None else old.tolist())
    assert (row["loss"], row["divisor"]) == (example.loss, example.divisor)
    assert (row["reward"], row["finish_reason"]) == (example.reward, example.finish_reason)


@pytest.mark.parametrize(
    "recipe",
    [
        *RECIPES.values(),
        RECIPES["df+repair"].change(balance=True, copies="once"),
        RECIPES["df"].change(mask_mode="loss", scale_rewards="none"),
    ],
    ids=lambda recipe: recipe.name,
)
def test_examples_are_those_of_make_examples(
    finished: FinishedRun, groups: Path, tmp_path: Path, recipe: Recipe
) -> None:
    rows = write(finished, "examples", tmp_path, recipe=recipe)
    examples = list(make_examples(groups, recipe, say=None))
    assert len(rows) == len(examples) > 0
    for row, example in zip(rows, examples, strict=True):
        compare_numbers(row, example)
        assert row["prompt"] == example.prompt
        assert row["messages"] == example.messages
        assert row["images"] == example.images
        assert row["completion_text"] == example.text


def test_a_balanced_table_pushes_up_as_much_as_down(finished: FinishedRun, tmp_path: Path) -> None:
    recipe = RECIPES["df"].change(balance=True)
    rows = write(finished, "examples", tmp_path, recipe=recipe)
    flat = np.concatenate([row["advantages"] for row in rows])
    assert flat[flat > 0].sum() == pytest.approx(-flat[flat < 0].sum(), rel=1e-5)


def test_slime_rows_carry_examples_and_pictures(
    finished: FinishedRun, groups: Path, tmp_path: Path
) -> None:
    rows = write(finished, "slime", tmp_path)
    examples = list(make_examples(groups, "df+whole mask_mode=loss", say=None))
    sha256 = read_dataset_manifest(tmp_path / "dfgen.json").tokenizer["sha256"]
    for row, example in zip(rows, examples, strict=True):
        compare_numbers(row["metadata"], example)
        assert row["metadata"]["tokenizer_sha256"] == sha256
        assert row["metadata"]["format"] == 1
        assert row["prompt"] == example.messages
        text = "".join(message["content"] for message in row["prompt"])
        assert text.count("<image>") == len(row["images"]) == len(example.images)
        for uri, image in zip(row["images"], example.images, strict=True):
            head, data = uri.split(",")
            assert head == "data:image/png;base64"
            assert base64.b64decode(data) == image["bytes"]


@pytest.mark.parametrize("group_size", [2, 4, 8])
def test_openrlhf_rows_keep_advantages_and_have_mean_zero(
    finished: FinishedRun, groups: Path, tmp_path: Path, group_size: int
) -> None:
    rows = write(finished, "openrlhf", tmp_path, group_size=group_size)
    recipe = RECIPES["df+whole"].change(mask_mode="loss", positive_loss="ratio")
    examples = list(make_examples(groups, recipe, say=None))
    seen = 0
    for row in rows:
        label = json.loads(row["label"])
        assert (label["format"], label["temperature"]) == (1, 1.0)
        samples = label["samples"]
        assert len(samples) == group_size
        assert samples[-1]["kind"] == "counterweight"
        assert sum(sample["advantage"] for sample in samples) == pytest.approx(0, abs=1e-9)
        real = [s for s in samples if s["kind"] not in ("empty", "counterweight")]
        assert [s["trajectory_id"] for s in real] == [s["trajectory_id"] for s in row["samples"]]
        for sample in real:
            example = examples[seen]
            seen += 1
            assert row["input"] == example.messages
            assert row["images"] == example.images
            assert sample["trajectory_id"] == example.trajectory_id
            assert sample["ids"] == example.ids.tolist()
            mask = np.zeros(len(sample["ids"]), bool)
            for start, end in sample["runs"]:
                mask[start:end] = True
            assert mask.tolist() == example.loss_mask.tolist()
            built = np.float32(sample["advantage"]) * mask
            assert built.astype(np.float32).tolist() == example.advantages.tolist()
            if example.old_logprobs is None:
                assert sample["logprobs"] is None
            else:
                kept = np.where(mask, example.old_logprobs, np.float32(0))
                assert np.array_equal(np.array(sample["logprobs"], np.float32), kept)
    assert seen == len(examples)


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"mask_mode": "advantage"}, "--choice mask_mode=loss"),
        ({"positive_loss": "likelihood"}, "--choice positive_loss=ratio"),
        ({"right_loss": "likelihood"}, "--choice right_loss=ratio"),
        ({"weights": True}, "--choice weights=false"),
    ],
)
def test_openrlhf_refuses_what_it_has_no_loss_for(
    finished: FinishedRun, tmp_path: Path, change: dict[str, Any], flag: str
) -> None:
    recipe = RECIPES["df+repair"].change(**{**RATIO, **change})
    with pytest.raises(ConfigError, match="OpenRLHF has no loss") as error:
        write(finished, "openrlhf", tmp_path / "out", recipe=recipe)
    assert flag in str(error.value.hint)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mask", ["", "0", "1", "01", "10", "0110111", "1" * 5])
def test_runs_are_the_mask(mask: str) -> None:
    bits = np.array([char == "1" for char in mask], bool)
    again = np.zeros(len(mask), bool)
    runs = find_runs(bits)
    for start, end in runs:
        assert start < end
        again[start:end] = True
    assert again.tolist() == bits.tolist()
    assert all(a[1] < b[0] for a, b in itertools.pairwise(runs))


def test_floats_print_short_and_come_back() -> None:
    values = np.random.default_rng(0).normal(size=500).astype(np.float32)
    values = np.concatenate([values, np.float32([0.1, 0, 1e-30, -3e30])])
    again = json.loads(json.dumps(list_floats(values)))
    assert np.array_equal(np.array(again, np.float32), values)
    assert json.dumps(list_floats(np.float32([0.1]))) == "[0.1]"


def test_what_was_chosen_is_on_record(finished: FinishedRun, tmp_path: Path) -> None:
    recipe = read_recipe("df", ["failed=full", "balance=true", "all_wrong=0.5"], TABLES["examples"])
    write(finished, "examples", tmp_path, recipe=recipe)
    chosen = read_dataset_manifest(tmp_path / "dfgen.json").tables["examples"].choices
    assert chosen["recipe"]["name"] == "df+changed"
    assert chosen["recipe"]["failed"] == "full"
    assert chosen["recipe"]["balance"] is True
    assert chosen["recipe"]["all_wrong"] == 0.5
    assert chosen["temperature"] == 1.0


def test_a_table_without_choices_is_written_as_before() -> None:
    entry = TableEntry(rows=1, trajectories=1, masks_sha256="0", files=[])
    assert set(entry.model_dump()) == {"rows", "trajectories", "masks_sha256", "files"}
    manifest = DatasetManifest(name="n", run_created="", tokenizer={}, tables={"groups": entry})
    assert b"choices" not in manifest.encode()


@pytest.mark.parametrize("name", [n for n, table in TABLES.items() if "recipe" not in table.takes])
def test_tables_without_a_recipe_refuse_one(name: str) -> None:
    with pytest.raises(ConfigError, match="takes no recipe"):
        settle_choices(TABLES[name], Choices(recipe=RECIPES["df"]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fail=full", "is no choice"),
        ("failed", "is no choice"),
        ("failed=half", "failed is 'half'"),
        ("balance=yes", "true or false"),
        ("all_wrong=much", "a number"),
        ("all_wrong=-1", "0 or more"),
    ],
)
def test_what_is_no_choice_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_recipe(None, [text], TABLES["examples"])


def test_what_a_trainer_needs_holds_until_it_is_changed() -> None:
    for name in ("slime", "openrlhf"):
        assert settle_choices(TABLES[name], Choices()).recipe.mask_mode == "loss"
        typed = read_recipe(None, ["all_wrong=0.5"], TABLES[name])
        settled = settle_choices(TABLES[name], Choices(recipe=typed)).recipe
        assert (settled.mask_mode, settled.all_wrong) == ("loss", 0.5)
        wrong = read_recipe("df", ["mask_mode=advantage"], TABLES[name])
        with pytest.raises(ConfigError, match="has no loss for the recipe"):
            settle_choices(TABLES[name], Choices(recipe=wrong))


def test_another_temperature_needs_log_probs_at_it(finished: FinishedRun, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="temperature"):
        write(finished, "examples", tmp_path / "out", temperature=0.7)


@pytest.mark.parametrize("most", [1, 7])
@pytest.mark.parametrize("name", ["examples", "slime", "openrlhf", "verifiers"])
def test_parts_of_any_size_make_the_same_rows(
    finished: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    wanted = write(finished, name, tmp_path / "whole")
    monkeypatch.setattr("dfgen.export.examples.PART_GROUPS", most)
    assert write(finished, name, tmp_path / "parts") == wanted


def test_nodes_need_log_probs_for_a_ratio(finished: FinishedRun, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nobody knows the log-probs"):
        write(finished, "verifiers", tmp_path / "out", recipe=RECIPES["grpo+repair"])
    assert not list((tmp_path / "out").glob("*"))


def test_columns_with_values_are_found_in_the_footers(finished: FinishedRun) -> None:
    found = RunGroups(finished, "", "", {}, lambda: iter(())).find_nested()
    assert {"logprobs", "loss_mask", "completion_text", "repair_ids"} <= found
    assert not {"repair_logprobs", "weights", "completion"} & found


def test_the_command_takes_recipes_and_says_how_to_read(
    finished: FinishedRun, tmp_path: Path
) -> None:
    run, out = str(finished.run.root), str(tmp_path / "out")
    call = ["export", run, "--to", "openrlhf", "--out", out, "--group-size", "6"]
    result = CliRunner().invoke(cli, [*call, "--choice", "positive_loss=likelihood"])
    assert result.exit_code != 0
    assert "--choice positive_loss=ratio" in result.output + str(result.exception)
    result = CliRunner().invoke(cli, call)
    assert result.exit_code == 0, result.output
    assert "to read it: --data.input_key input" in result.output
    assert "--rollout.n_samples_per_prompt 6 " in result.output
    assert "examples of" in result.output


@pytest.mark.parametrize("reveal", ["0", "-1", "half", "1.5"])
def test_the_command_refuses_what_cannot_be_revealed(
    finished: FinishedRun, tmp_path: Path, reveal: str
) -> None:
    run, out = str(finished.run.root), str(tmp_path / "out")
    call = ["export", run, "--to", "privileged", "--out", out, "--reveal", reveal]
    result = CliRunner().invoke(cli, call)
    assert result.exit_code != 0
    assert "a number of edits from 1 on" in result.output + str(result.exception)
