"""Rejects are never silent: reasons at the end of each stage, exit code 3 where there are many."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from dfgen.cli.main import cli
from dfgen.cli.run_command import ALL_STAGES
from dfgen.demo.scenes import iter_scenes
from dfgen.errors import UnusableRowsError
from dfgen.reasons.tally import ReasonTally
from dfgen.runners.local import finish_stage
from dfgen.stages.session import Session
from dfgen.store.layout import Stage
from dfgen.store.run import Run
from tests.support.scripted_models import Models, answer_by_index, make_pipeline

GRADER = """
from dfgen.grade import Verdict

def never(completion, answer, choices, config):
    raise ValueError("no model of mine is loaded")

def sometimes(completion, answer, choices, config):
    if "2" in completion:
        raise ValueError("two is too much")
    return Verdict(False, 0.0, "sometimes", None, answer, "none", "looked at it")
"""


def write_pipeline(folder: Path, rows: list[dict[str, Any]], **sections: Any) -> Path:
    scene = next(iter(iter_scenes(1, 0)))
    (folder / "good.png").write_bytes(scene.image_png)
    good = {"question": scene.question, "answer": scene.answer, "image": "good.png"}
    lines = [json.dumps({**good, **row}) + "\n" for row in rows]
    (folder / "rows.jsonl").write_text("".join(lines))
    tree = {
        "prompts": {"source": "jsonl", "path": str(folder / "rows.jsonl")},
        "policy": {"engine": "transformers", "model": "demo:policy", "batch_size": 4},
        "sample": {"num_samples": 3, "max_tokens": 48},
        **sections,
    }
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(tree))
    return folder / "pipeline.yaml"


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_a_stage_names_reasons_and_command(tmp_path: Path) -> None:
    bad = [{"image": "gone.png"}, {"image": "away.png"}, {"answer": None}]
    marked = {"question": "Is <|user|> here?"}
    pipeline, run = write_pipeline(tmp_path, [{}, *bad, marked]), tmp_path / "run"
    result = invoke("run", pipeline, "--out", run)
    assert result.exit_code == 0, result.output
    show = f"`dfgen inspect {run} --rejects` shows them."
    lines = result.stderr.splitlines()
    assert "3 of the first 5 rows would be rejected" in result.stderr  # said before, too
    assert f"prompts: 3 of 5 rows rejected: 2 image_missing, 1 answer_missing. {show}" in lines
    assert f"sample: 3 of 6 rows rejected: 3 control_token (of 1 prompt). {show}" in lines
    again = invoke("run", pipeline, "--out", run)
    assert again.exit_code == 0
    assert "rows rejected" not in again.stderr
    quiet = invoke("sample", pipeline, "--out", tmp_path / "quiet", "-q", "--no-check")
    assert quiet.output == ""


@pytest.mark.parametrize("flags", [(), ("--json",), ("--quiet",)])
def test_too_many_rejects_end_the_run_before_the_next_stage(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    rows = [{}, {"image": "gone.png"}, {"image": "away.png"}]
    pipeline = write_pipeline(tmp_path, rows, max_reject_ratio=0.5)
    result = invoke("run", pipeline, "--out", tmp_path / "run", *flags)
    assert result.exit_code == 3, result.output
    assert "the prompts stage rejected 2 of 3 rows" in result.stderr
    assert "rows.jsonl:2" in result.stderr and "--rejects" in result.stderr
    assert not (tmp_path / "run" / "trajectories").exists()
    if "--json" in flags:
        assert json.loads(result.stdout)["counts"]["prompts"]["rejects"] == 2
    allowed = invoke("run", pipeline, "--out", tmp_path / "run", "--set", "max_reject_ratio=1")
    assert allowed.exit_code == 0, allowed.output


def test_the_sample_stage_refuses_too(tmp_path: Path) -> None:
    rows = [{}, {"question": "Is <|user|> here?"}, {"question": "Was <|user|> here?"}]
    pipeline = write_pipeline(tmp_path, rows, max_reject_ratio=0.5)
    result = invoke("sample", pipeline, "--out", tmp_path / "run")
    assert result.exit_code == 3, result.output
    said = "the sample stage rejected 6 of 9 rows, more than the 50% that max_reject_ratio allows"
    assert f"{said}: 6 control_token (of 2 prompts)." in result.stderr


def test_the_stages_of_the_repairer_refuse_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No repair is small enough: what is refused by one stage is no row of the next."""
    models = Models(
        answer_by_index(["fine", "fair", "poor", "bad"]), {"poor": ["bad"], "bad": ["fair"]}
    )
    pipeline = make_pipeline(tmp_path, repair={"max_attempts": 1})
    models.replace_engines(monkeypatch)
    (tmp_path / "pipeline.json").write_text(pipeline.model_dump_json())
    command = ["run", tmp_path / "pipeline.json", "--out", tmp_path / "run", "--no-check"]
    result = invoke(
        *command, "--set", "repair.max_edit_ratio=0.01", "--set", "max_reject_ratio=0.5"
    )
    assert result.exit_code == 3, result.output
    assert "the repair stage rejected 14 of 14 rows" in result.stderr
    assert not (tmp_path / "run" / "masks").exists()


@pytest.mark.parametrize("stage", ALL_STAGES)
def test_no_stage_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: Stage
) -> None:
    """Whatever a stage has refused, it is counted when the stage ends."""
    counts = {"input": 3, "output": 1, "rejects": 2, "pending": 0}
    monkeypatch.setattr("dfgen.stages.rejected.count_stage", lambda run, which: counts)
    tally = ReasonTally()
    for number in range(2):
        tally.add("some_reason", f"row {number}", "detail", "p")
    monkeypatch.setattr("dfgen.stages.rejected.tally_rejects", lambda run, which: tally)
    pipeline = make_pipeline(tmp_path).model_copy(update={"max_reject_ratio": 0.5})
    session = Session(Run.open_or_create(tmp_path / "run", pipeline), pipeline)
    with pytest.raises(UnusableRowsError, match=f"the {stage} stage rejected 2 of 3 rows"):
        finish_stage(session, stage, worked=False)


def test_pairs_and_imports_refuse_too(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text(
        '{"wrong": "a", "right": null}\n{"wrong": "a", "right": "b"}\n'
    )
    arguments = ["--pairs", tmp_path / "pairs.jsonl", "--tokenizer", "demo:policy"]
    limit = ["--set", "max_reject_ratio=0.1"]
    result = invoke("mask", *arguments, "--out", tmp_path / "masks", *limit)
    assert result.exit_code == 3, result.output
    assert "the prompts stage rejected 1 of 2 rows" in result.stderr
    (tmp_path / "answers.jsonl").write_text(
        '{"question": "q", "answer": "1", "response": "Answer: 1"}\n'
        '{"question": "q", "answer": null, "response": "Answer: 1"}\n'
    )
    imports = {"path": str(tmp_path / "answers.jsonl"), "tokenizer": "demo:policy"}
    (tmp_path / "imports.yaml").write_text(yaml.safe_dump({"imports": imports}))
    result = invoke("import", tmp_path / "imports.yaml", "--out", tmp_path / "run", *limit)
    assert result.exit_code == 3, result.output
    assert "the prompts stage rejected 1 of 2 rows" in result.stderr


def test_none_of_the_rows_says_why(tmp_path: Path) -> None:
    pipeline = write_pipeline(tmp_path, [{"image": "gone.png"}, {"image": "away.png"}])
    result = invoke("run", pipeline, "--out", tmp_path / "run", "--no-check")
    assert result.exit_code == 1, result.output
    assert "none of the 2 rows became a prompt" in result.output
    assert "All image_missing, such as rows.jsonl:1:" in result.output


@pytest.fixture
def graders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_graders.py").write_text(GRADER)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "own_graders"
    sys.modules.pop("own_graders", None)


def test_a_grader_that_fails_on_every_answer_is_no_success(tmp_path: Path, graders: str) -> None:
    pipeline, run = write_pipeline(tmp_path, [{}]), tmp_path / "run"
    own = ["--set", f"grade.grader={graders}:never", "--no-check"]
    result = invoke("run", pipeline, "--out", run, *own)
    assert result.exit_code == 3, result.output
    assert "failed on every one of 3 answers" in result.stderr
    assert "ValueError: no model of mine is loaded" in result.stderr
    assert f"dfgen regrade {run}" in result.stderr
    assert not (run / "masks").exists()
    assert invoke("regrade", run, "--set", "grade.grader=auto").exit_code == 0
    result = invoke("regrade", run, *own)
    assert result.exit_code == 3, result.output


def test_tally() -> None:
    tally = ReasonTally()
    for number in range(7):
        tally.add("abcdefg"[number % 5], f"row {number}", f"detail {number}.")
    assert tally.describe() == "2 a, 2 b, 1 c, 2 for other reasons"
    assert tally.explain() == "Most often a (2 of 7), such as row 0: detail 0."
