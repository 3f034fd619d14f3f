"""A run directory stands in place of PIPELINE --out RUN; what it has recorded holds."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from dfgen.config.engine import OpenAIConfig, TransformersConfig
from dfgen.config.load import change_pipeline
from dfgen.config.pipeline import Pipeline
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.stages.test_imports import make_recipe
from tests.store.examples import make_pipeline as make_bare_pipeline
from tests.support.scripted_models import Models, answer_by_index, make_pipeline
from tests.support.scripted_runs import invoke

WORDS = ["fine", "fair", "poor", "bad", "bad"]
REPAIRS = {"poor": ["fine"], "bad": ["fine"], "fair": ["fine"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("argument")


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Pipeline:
    return make_pipeline(folder)


@pytest.fixture(scope="module")
def made(folder: Path, pipeline: Pipeline) -> Path:
    """A finished run, to be copied."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        Models(answer_by_index(WORDS), REPAIRS).run(folder / "made", pipeline, monkeypatch)
    return folder / "made"


@pytest.fixture
def root(tmp_path: Path, made: Path) -> Path:
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    models = Models(answer_by_index(WORDS), REPAIRS)
    models.replace_engines(monkeypatch)
    return models


def write_file(path: Path, tree: object) -> Path:
    path.write_text(yaml.safe_dump(tree))
    return path


@pytest.mark.parametrize("command", ["run", "sample", "repair", "mask"])
def test_a_run_stands_in_place_of_its_file(command: str, root: Path, models: Models) -> None:
    before = json.loads((root / "run.json").read_text())["pipeline"]
    invoke(command, root, "-q")
    assert (models.drawn + models.asked).total() == 0
    after = json.loads((root / "run.json").read_text())
    assert after["pipeline"] == before and after["changes"] == []


def test_growth_needs_only_what_grows(root: Path, models: Models) -> None:
    invoke("run", root, "-q", "--set", "sample.num_samples=5")
    run = Run.open_or_create(root, None)
    assert audit(run) == [] and (models.drawn + models.asked).total() > 0
    (change,) = run.manifest.changes
    assert change.fields["sample.num_samples"].model_dump() == {"old": 4, "new": 5}
    assert change.at.endswith("+00:00")
    # The next command has it from the run.
    invoke("mask", root, "-q")
    assert Run.open_or_create(root, None).manifest.changes == [change]


def test_a_file_may_hold_the_sections_that_change(root: Path, tmp_path: Path) -> None:
    file = write_file(tmp_path / "other.yaml", {"repair": {"max_edit_ratio": 0.11}})
    result = invoke("repair", root, "--pipeline", file, code=1)
    assert "repair.max_edit_ratio" in result.output and "0.11" in result.output
    assert "repair.engine" not in result.output  # what the file does not name is the run's
    neutral = write_file(tmp_path / "neutral.yaml", {"max_reject_ratio": 0.9, "workers": 1})
    invoke("mask", root, "-q", "--pipeline", neutral)
    (change,) = Run.open_or_create(root, None).manifest.changes
    assert change.fields["max_reject_ratio"].new == 0.9


def test_the_limit_is_said_once(tmp_path: Path, models: Models, pipeline: Pipeline) -> None:
    file = write_file(tmp_path / "my.yaml", pipeline.model_dump(mode="json"))
    root = tmp_path / "limited"
    invoke("sample", file, "--out", root, "--limit", "2", "-q")
    invoke("repair", root, "-q")
    invoke("mask", root, "-q", "--pipeline", file)
    assert Run.open_or_create(root, None).table("prompts").num_rows(0) == 2
    # The file without the limit is no other source for a stage that reads none.
    invoke("repair", file, "--out", root, "-q")


def test_what_does_not_fit_is_said(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    file = write_file(tmp_path / "my.yaml", {"workers": 1})
    assert "holds no run" in invoke("run", tmp_path / "empty", code=1).output
    assert "needs --out RUN" in invoke("run", file, code=2).output
    assert "leave --out away" in invoke("run", root, "--out", tmp_path / "x", code=2).output
    assert "of a RUN" in invoke("run", file, "--out", root, "--pipeline", file, code=2).output
    assert "--pairs" in invoke("mask", tmp_path / "pairs.jsonl", "--out", root, code=2).output
    invoke("run", root, "--out", root, "-q")


def test_config_show_reads_a_run(root: Path) -> None:
    shown = yaml.safe_load(invoke("config", "show", root, "--set", "workers=3").stdout)
    assert shown["workers"] == 3
    assert shown["policy"] == json.loads((root / "run.json").read_text())["pipeline"]["policy"]


@pytest.mark.parametrize("command", ["score", "value", "regrade"])
def test_a_section_may_come_with_what_changes_no_row(command: str, root: Path) -> None:
    section = "grade" if command == "regrade" else command
    refused = invoke(command, root, "--dry-run", "--set", "sample.temperature=0.3", code=1).output
    assert f"only the {section} section" in refused and "sample.temperature" in refused
    invoke(command, root, "--dry-run", "--set", "workers=1", "--set", "policy.device=cpu")


def test_a_mask_run_of_pairs_goes_on_by_its_name(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"id": "a", "wrong": "2 + 2 = 5", "right": "2 + 2 = 4"}) + "\n")
    root = tmp_path / "masks"
    invoke("mask", "--pairs", pairs, "--tokenizer", "demo:policy", "--out", root)
    with pairs.open("a") as file:
        file.write(json.dumps({"id": "b", "wrong": "1 + 1 = 3", "right": "1 + 1 = 2"}) + "\n")
    assert "2 masks" in invoke("mask", root).stdout


def test_imported_answers_are_scored_without_a_whole_file(tmp_path: Path) -> None:
    recipe, root = make_recipe(tmp_path), tmp_path / "imported"
    invoke("import", recipe, "--out", root, "-q")
    engine = {"engine": "transformers", "model": "demo:policy"}
    by_set = [f"score.engine.{name}={value}" for name, value in engine.items()]
    settings = [part for item in by_set for part in ("--set", item)]
    file = write_file(tmp_path / "score.yaml", {"score": {"engine": engine}})
    shown = invoke("score", root, "--dry-run", *settings).stdout
    assert shown == invoke("score", root, "--dry-run", "--pipeline", file).stdout
    assert "answers" in shown
    invoke("score", root, "-q", "--pipeline", file)
    # What it took is on record, and need not be said again.
    invoke("score", root, "-q")
    (change,) = Run.open_or_create(root, None).manifest.changes
    assert change.fields["score.engine.model"].new == "demo:policy"


def test_a_file_names_as_little_as_it_likes() -> None:
    repair = {"engine": {"engine": "openai", "model": "m", "timeout": 9.0}, "max_attempts": 5}
    old = make_bare_pipeline(repair=repair).model_dump(mode="json")
    assert lay(old, {"repair": {"engine": {"model": "n"}}}).repair.engine == OpenAIConfig(
        model="n", timeout=9.0
    )
    other = lay(old, {"repair": {"engine": {"engine": "transformers", "model": "n"}}}).repair
    assert other.engine == TransformersConfig(model="n") and other.max_attempts == 5
    # A mapping that is no section stands as a whole.
    old["repair"]["chat_template_args"] = {"a": 1}
    assert lay(old, {"repair": {"chat_template_args": {"b": 2}}}).repair.chat_template_args == {
        "b": 2
    }
    assert lay(old, {"repair": {"engine": None}}).repair.engine is None


def lay(old: dict[str, Any], new: dict[str, Any]) -> Pipeline:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(new, file)
        file.flush()
        return change_pipeline(old, (), "run.json", file=Path(file.name), environ={})


def test_the_environment_lies_between_record_and_options(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFGEN_SET_WORKERS", "2")
    run = Run.open_or_create(root, None)
    assert run.read_pipeline().workers == 2
    assert run.read_pipeline(["workers=3"]).workers == 3


def test_no_secret_of_an_address_is_in_the_record_of_changes(root: Path, models: Models) -> None:
    address = "https://me:hunter2@example.org/v1"
    invoke("mask", root, "-q", "--set", f"repair.engine.base_url={address}")
    text = (root / "run.json").read_text()
    assert "example.org" in text and "hunter2" not in text
