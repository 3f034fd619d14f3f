"""What people get wrong: each is one paragraph with the way out, or a reject."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner, Result

from dfgen.cli.main import cli
from dfgen.demo import locate_model
from dfgen.demo.scenes import iter_scenes
from tests.end_to_end.conftest import RECIPE, SMALL, run_dfgen


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set with one good row and one of every kind of bad row."""
    scene = next(iter(iter_scenes(1, 0)))
    (tmp_path / "good.png").write_bytes(scene.image_png)
    (tmp_path / "cut.png").write_bytes(scene.image_png[:100])
    good = {"question": scene.question, "answer": scene.answer, "image": "good.png"}
    rows: list[dict[str, Any]] = [
        good,
        {**good, "question": "Is it?", "image": "gone.png"},
        {**good, "question": "Was it?", "image": "cut.png"},
        {**good, "question": "Will it?", "image": "http://127.0.0.1/x.png"},
        {**good, "answer": None},
        {**good, "question": ""},
        good,
    ]
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{broken\n")
    return path


def write_recipe(folder: Path, data: Path | str, **sections: Any) -> Path:
    tree = {
        "prompts": {"source": "jsonl", "path": str(data)},
        "policy": {"engine": "transformers", "model": "demo:policy", "batch_size": 4},
        "sample": {"num_samples": 1, "max_tokens": 48},
        **sections,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def expect_error(result: Result, *parts: str, code: int = 1) -> None:
    assert result.exit_code == code, result.output
    for part in parts:
        assert part in result.output
    assert "Traceback" not in result.output
    paragraph = result.output[result.output.index("Error: ") :].strip()
    assert len(paragraph.splitlines()) < 8


def test_bad_rows_become_rejects_and_the_run_goes_on(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = invoke("sample", write_recipe(tmp_path, data), "--out", run)
    assert result.exit_code == 0, result.output
    rejects = [
        row for f in (run / "rejects").glob("prompts-*") for row in pq.read_table(f).to_pylist()
    ]
    assert Counter(row["reason"] for row in rejects) == {
        "image_missing": 1,
        "image_corrupt": 1,
        "image_remote": 1,
        "answer_missing": 1,
        "question_missing": 1,
        "duplicate": 1,
        "row_unreadable": 1,
    }
    assert all(row["detail"] for row in rejects)
    assert invoke("validate", run).exit_code == 0
    shown = invoke("inspect", run, "--rejects", "--first", "9")
    assert "image_corrupt" in shown.output


def test_picture_too_large(data: Path, tmp_path: Path) -> None:
    recipe = write_recipe(
        tmp_path,
        data,
        prompts={"source": "jsonl", "path": str(data), "images": {"max_pixels": 100}},
    )
    expect_error(invoke("sample", recipe, "--out", tmp_path / "run"), "became a prompt")


def test_too_many_rejects_is_exit_code_3(data: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, data, max_reject_ratio=0.5)
    result = invoke("sample", recipe, "--out", tmp_path / "run")
    expect_error(result, "prompts stage rejected 7 of 8 rows", code=3)


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("policy.modle=x", ("policy.modle is not a field", "did you mean 'model'?")),
        ("sample.num_samples=0", ("sample.num_samples", "greater than 0")),
        ("policy.engine=tpu", ("policy", "'transformers'")),
        ("prompts.path=nowhere.jsonl", ("nowhere.jsonl",)),
        ("prompts.columns.answer=solution_text", ("no column 'solution_text'", "question")),
        ("policy.model=/nowhere/model", ("/nowhere/model",)),
        ("grade.grader=mathh", ("mathh", "math")),
        ("repair.prompt='{complection}'", ("{complection}", "{completion}")),
        ("nothing", ("is not of the form",)),
    ],
)
def test_wrong_settings(data: Path, tmp_path: Path, setting: str, parts: tuple[str, ...]) -> None:
    repairer = {"engine": {"engine": "transformers", "model": "demo:policy"}}
    recipe = write_recipe(tmp_path, data, repair=repairer)
    expect_error(invoke("run", recipe, "--out", tmp_path / "run", "--set", setting), *parts)


def test_empty_data_set(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    recipe = write_recipe(tmp_path, tmp_path / "empty.jsonl")
    expect_error(invoke("run", recipe, "--out", tmp_path / "run"), "empty")


def test_pipeline_that_is_not_yaml(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("prompts: [\n")
    expect_error(invoke("run", tmp_path / "bad.yaml", "--out", tmp_path / "run"), "bad.yaml:2")


def test_folder_that_is_not_a_model(data: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    recipe = write_recipe(
        tmp_path, data, policy={"model": str(tmp_path / "model"), "engine": "transformers"}
    )
    expect_error(invoke("run", recipe, "--out", tmp_path / "run"), "model", "config.json")


def test_tokenizer_without_chat_template(data: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(locate_model("policy"), model)
    (model / "chat_template.jinja").unlink(missing_ok=True)
    for name in ("tokenizer_config.json", "processor_config.json"):
        if (model / name).exists():
            tree = json.loads((model / name).read_text())
            tree.pop("chat_template", None)
            (model / name).write_text(json.dumps(tree))
    recipe = write_recipe(tmp_path, data, policy={"model": str(model), "engine": "transformers"})
    result = invoke("run", recipe, "--out", tmp_path / "run")
    expect_error(result, "chat template", "sample.chat_template")


def test_directory_of_something_else(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter1.tex").write_text("dear reader")
    result = invoke("run", write_recipe(tmp_path, data), "--out", other)
    expect_error(result, "not a run", "chapter1.tex")
    assert [path.name for path in other.iterdir()] == ["chapter1.tex"]


def test_source_that_changed_after_the_ingest(data: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, data)
    assert invoke("sample", recipe, "--out", tmp_path / "run").exit_code == 0
    row = json.loads(data.read_text().splitlines()[0])
    data.write_text(json.dumps({**row, "question": "What else?"}) + "\n")
    expect_error(invoke("sample", recipe, "--out", tmp_path / "run"), "holds none of the")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere; the store tests use tmpfs")
def test_no_permission(data: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    expect_error(invoke("run", write_recipe(tmp_path, data), "--out", locked / "run"), "locked")


def test_disk_full_ends_with_one_paragraph_and_resumes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = write_recipe(tmp_path, data), tmp_path / "run"
    write = os.write

    def fail(descriptor: int, content: bytes) -> int:
        if b'"completion_ids"' in content:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, content)

    monkeypatch.setattr(os, "write", fail)
    expect_error(invoke("sample", recipe, "--out", run), "Free some space", str(run))
    monkeypatch.undo()
    assert invoke("sample", recipe, "--out", run).exit_code == 0
    assert invoke("validate", run).exit_code == 0


def test_server_that_is_not_there(data: Path, tmp_path: Path) -> None:
    policy = {
        "engine": "openai",
        "model": "m",
        "base_url": "http://127.0.0.1:9/v1",
        "tokenizer": "demo:policy",
        "max_retries": 0,
    }
    result = invoke("run", write_recipe(tmp_path, data, policy=policy), "--out", tmp_path / "run")
    expect_error(result, "http://127.0.0.1:9/v1")


def test_remote_policy_needs_a_tokenizer(data: Path, tmp_path: Path) -> None:
    policy = {"engine": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    result = invoke("mask", write_recipe(tmp_path, data, policy=policy), "--out", tmp_path / "run")
    expect_error(result, "policy.tokenizer is missing")


def test_neither_prompts_nor_imports(tmp_path: Path) -> None:
    (tmp_path / "nothing.yaml").write_text("name: x\n")
    result = invoke("run", tmp_path / "nothing.yaml", "--out", tmp_path / "run")
    expect_error(result, "prompts and policy are needed")


def test_two_runs_do_not_mix(finished_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished_run, copy)
    result = run_dfgen("run", RECIPE, "--out", copy, *SMALL, "--set=prompts.seed=99", code=1)
    assert "prompts" in result.stderr
