"""A growing run from the command line: what is said beforehand, afterwards, and by `validate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from dfgen.cli.main import cli
from dfgen.store.run import Run


def write(folder: Path, numbers: range, **prompts: Any) -> Path:
    """A pipeline over questions about these numbers, and its source."""
    source = folder / "questions.jsonl"
    rows = [{"question": f"What is thing {i}?", "answer": str(i)} for i in numbers]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tree = {
        "prompts": {"source": "jsonl", "path": str(source), "shard_size": 20, **prompts},
        "policy": {"engine": "transformers", "model": "demo:policy"},
        "sample": {"max_tokens": 64},
    }
    path = folder / "pipeline.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def call(*arguments: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, [str(each) for each in arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stages after the first one do nothing."""
    monkeypatch.setattr("dfgen.runners.local.is_wanted", lambda session, stage: False)


@pytest.mark.usefixtures("drawn")
def test_growth_is_said_before_it_happens_and_after(tmp_path: Path) -> None:
    run = tmp_path / "run"
    call("run", write(tmp_path, range(100)), "--out", run)
    more = write(tmp_path, range(3, 143))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    rehearsed = call("run", more, "--out", run, "--dry-run").output
    assert "43 new prompts would be added to the 100 that are there" in rehearsed
    assert "3 prompts of the run are not in the source any more (kept;" in rehearsed
    assert "questions.jsonl:1: What is thing 0?" in rehearsed
    counted = json.loads(call("run", more, "--out", run, "--dry-run", "--json").stdout)["growth"]
    assert counted == {
        "there": 100,
        "new": 43,
        "missing": 3,
        "changed": 0,
        "unread": 0,
        "new_answers": 0,
    }
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    said = call("run", more, "--out", run).output
    assert "43 new prompts in 3 shards; 100 were there" in said
    assert "3 prompts of the run are not in the source any more" in said
    checked = call("validate", run).output
    assert "3 are gone from the source, and kept" in " ".join(checked.split())
    assert "questions.jsonl:3: What is thing 2?" in checked
    again = call("run", more, "--out", run, "--dry-run").output
    assert "0 new prompts would be added to the 143 that are there" in again


@pytest.mark.usefixtures("drawn")
def test_another_source_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    run = tmp_path / "run"
    call("run", write(tmp_path, range(3)), "--out", run)
    other = write(tmp_path, range(50, 53))
    for options in ((), ("--dry-run",)):
        output = call("run", other, "--out", run, *options, code=1).output
        text = " ".join(output.split())
        assert "this source holds none of the 3 prompts of this run" in text
        assert "prompts.missing=keep" in text


@pytest.mark.usefixtures("drawn")
def test_a_limit_is_raised_on_the_command_line(tmp_path: Path) -> None:
    run, pipeline = tmp_path / "run", write(tmp_path, range(60))
    call("run", pipeline, "--out", run, "--limit", "4")
    said = call("run", pipeline, "--out", run, "--limit", "40").output
    assert "36 new prompts in 2 shards; 4 were there" in said
    assert "20 new prompts in 1 shard; 40 were there" in call("run", pipeline, "--out", run).output


def write_own(folder: Path, answers: dict[int, str]) -> Path:
    """Like `write`, with own ids; the answers of some rows are others."""
    pipeline = write(folder, range(12), columns={"id": "nr"})
    source = folder / "questions.jsonl"
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    for number, row in enumerate(rows):
        row |= {"nr": f"own-{number}", "answer": answers.get(number, row["answer"])}
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return pipeline


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("limit", [(), ("--limit", "12")])
def test_a_row_that_was_mended_under_its_own_id_leaves_a_sound_run(
    tmp_path: Path, limit: tuple[str, ...]
) -> None:
    run = tmp_path / "run"
    call("run", write_own(tmp_path, {}), "--out", run, "--limit", "12")
    said = call("run", write_own(tmp_path, {3: "33"}), "--out", run, *limit).output
    assert "1 new prompt in 1 shard; 12 were there" in said
    assert "run: sound" in call("validate", run).output
    call("run", write_own(tmp_path, {3: "33", 4: "44"}), "--out", run)
    assert "run: sound" in call("validate", run).output
    assert "2 are gone from the source" in " ".join(call("validate", run).output.split())


@pytest.mark.usefixtures("drawn")
def test_an_own_id_that_is_there_twice_for_no_reason_is_named(tmp_path: Path) -> None:
    run = tmp_path / "run"
    call("run", write_own(tmp_path, {}), "--out", run)
    call("run", write_own(tmp_path, {3: "33"}), "--out", run)
    manifest = Run.open_or_create(run, None).manifest
    absent = manifest.get_stage("prompts").facts["absent"]
    Run.open_or_create(run, None).set_stage(
        "prompts",
        state="done",
        counts=manifest.get_stage("prompts").counts,
        absent=absent | {"missing": {"count": 0, "shown": []}},
    )
    assert "the own id 'own-3' is there twice" in " ".join(
        call("validate", run, code=1).output.split()
    )


@pytest.mark.usefixtures("drawn")
def test_a_limit_below_what_there_is_says_that_it_takes_nothing_away(tmp_path: Path) -> None:
    run, pipeline = tmp_path / "run", write(tmp_path, range(12))
    assert "Note:" not in call("run", pipeline, "--out", run, "--limit", "12").output
    said = " ".join(call("run", run, "--limit", "4").output.split())
    assert "has 12 prompts, and all of them are worked on: --limit 4 takes none away" in said
    assert "Note:" not in call("run", run, "--limit", "4", "--quiet").output
