"""`--dry-run` shows what it promises, under names that stay."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from dfgen.check.amounts import Amount, Work, add_up
from dfgen.check.rows import check_rows
from dfgen.check.scope import Scope
from dfgen.cli.main import cli
from dfgen.config.engine import Price
from dfgen.store.run import Run
from tests.check.making import write_pipeline, write_source
from tests.support.scripted_models import Models, answer_by_index
from tests.support.scripted_models import make_pipeline as make_scripted

AMOUNT = {"least": "number", "most": "number"}
WORK = dict.fromkeys(
    ("requests", "prompt_tokens", "image_tokens", "completion_tokens", "usd"), AMOUNT
)
SENT = [
    {"answer": "text", "pictures": ["text"], "source": "text", "templated": "bool", "text": "text"}
]
STAGES = ("sample", "repair", "necessity", "score", "value")
GOLDEN = {
    "dry_run": "bool",
    "prompts": SENT,
    "repair_prompts": SENT,
    "estimate": {
        "first_rows": {
            "new": "bool",
            "read": "number",
            "prompts": "number",
            "rejects": "number",
            "reasons": {"image_missing": "number"},
            "examples": {"image_missing": {"row_id": "text", "detail": "text"}},
            "pictures_per_prompt": "number",
            "picture_bytes_per_prompt": "number",
        },
        "source_rows": "number",
        "source_rows_exact": "bool",
        "prompts": "number",
        "stages": dict.fromkeys(STAGES, WORK),
        "out": {},
        "total": WORK,
        "ways": dict.fromkeys(("plain", "cache_order", "batch"), "number"),
        "ways_of": "text",
        "cheapest": "text",
    },
    "growth": "number",  # null: nothing is there yet that could grow
    "findings": [{"level": "text", "what": "text", "where": "text", "hint": "text"}],
}
"""The shape of `dfgen run --dry-run --json`. Names are the contract: none is renamed."""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "for-tests")


SERVER = {
    "engine": "openai",
    "model": "large",
    "base_url": "http://127.0.0.1:1/v1",
    "price": {"prompt": 1.0, "completion": 2.0},
}


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def rehearse(pipeline: Path, *arguments: str) -> dict[str, Any]:
    result = invoke("run", pipeline, "--dry-run", "--json", *arguments)
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def outline(value: Any) -> Any:
    """The shape of a JSON value: its names, and the kind of what stands under them."""
    if isinstance(value, dict):
        return {name: outline(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [outline(value[0])] if value else []
    if value is None:
        return "number"  # of amounts that nobody knows
    kinds = {bool: "bool", str: "text"}
    return kinds.get(type(value), "number")


def list_names(value: Any) -> Iterator[str]:
    """The names in a JSON value, at any depth."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    for inner in value if isinstance(value, list) else ():
        yield from list_names(inner)


def test_names_of_the_json(tmp_path: Path) -> None:
    pipeline = write_pipeline(
        tmp_path,
        repair__engine=SERVER,
        repair__necessity="model",
        score__enabled=True,
        value__enabled=True,
        repair__decoding={"max_tokens": 40},
    )
    (tmp_path / "2.png").unlink()
    assert outline(rehearse(pipeline)) == GOLDEN
    assert all(re.fullmatch("[a-z][a-z_]*", name) for name in list_names(GOLDEN))
    assert list(tmp_path.glob("run*")) == []


def test_figures_follow_from_the_settings(tmp_path: Path) -> None:
    pipeline = write_pipeline(
        tmp_path, repair__engine=SERVER, repair__max_attempts=3, repair__candidates=2
    )
    told = rehearse(pipeline)["estimate"]
    assert (told["source_rows"], told["source_rows_exact"], told["prompts"]) == (3, True, 3)
    sample, repair = told["stages"]["sample"], told["stages"]["repair"]
    assert sample["requests"] == {"least": 6, "most": 6}
    assert sample["image_tokens"] == {"least": 96, "most": 96}
    assert sample["completion_tokens"] == {"least": 6, "most": 6 * 48}
    assert sample["usd"] == {"least": 0, "most": 0}
    assert repair["requests"] == {"least": 0, "most": 6 * 3 * 2}
    assert repair["completion_tokens"]["most"] == 36 * 2048
    dollars = (repair["prompt_tokens"]["most"] + 2 * repair["completion_tokens"]["most"]) / 1e6
    assert repair["usd"]["most"] == pytest.approx(dollars, abs=1e-4)
    assert told["total"]["usd"]["most"] == repair["usd"]["most"]
    limited = rehearse(pipeline, "--limit", "1", "--set", "sample.num_samples=5")["estimate"]
    assert limited["stages"]["sample"]["requests"] == {"least": 5, "most": 5}
    early = rehearse(pipeline, "--set", "sample.stop_early_after=1")["estimate"]
    assert early["stages"]["sample"]["requests"] == {"least": 3, "most": 6}


CACHING = {"prompt": 1.0, "completion": 2.0, "cached": 0.1, "cached_from": 0}


@pytest.mark.parametrize(
    ("price", "cheapest"),
    [
        ({"prompt": 1.0, "completion": 2.0}, "batch"),
        ({**CACHING, "completion": 0.0}, "cache_order"),
        ({**CACHING, "batch_factor": 0.0}, "batch"),
        ({**CACHING, "batch_factor": 2.0, "cached": 3.0}, "plain"),
    ],
)
def test_three_ways_are_priced_before_anything_is_there(
    tmp_path: Path, price: dict[str, float], cheapest: str
) -> None:
    settings = {
        "repair__engine": {**SERVER, "price": price},
        "sample__num_samples": 8,
        "sample__max_tokens": 4,
        "repair__max_attempts": 1,
    }
    pipeline = write_pipeline(tmp_path, **settings)
    told = rehearse(pipeline)["estimate"]
    assert (told["ways_of"], told["cheapest"]) == ("every answer to come", cheapest)
    ways, repair = told["ways"], told["stages"]["repair"]
    factor = price.get("batch_factor", 0.5)
    assert ways["batch"] == pytest.approx(factor * ways["plain"], abs=2e-6)
    # One request about each answer: no more than the table has, where all is as long as may be.
    assert 0 < ways["plain"] <= repair["usd"]["most"]
    read = repair["prompt_tokens"]["most"]
    saved = ways["plain"] - ways["cache_order"]
    if "cached" in price:
        # Of eight requests about a prompt seven find most of what they read in the cache.
        share = saved / (read * (1.0 - price["cached"]) / 1e6)
        assert 0.6 < share < 1
    else:
        assert saved == 0
    said = invoke("run", pipeline, "--dry-run").output
    assert "If every answer were wrong" in said
    assert f"The cheapest is {cheapest.replace('_', ' ')}" in said
    assert rehearse(write_pipeline(tmp_path))["estimate"]["ways"] is None  # nothing costs anything


def test_prompts_are_shown_as_the_chat_template_writes_them(tmp_path: Path) -> None:
    told = rehearse(write_pipeline(tmp_path))
    (first, _) = told["prompts"]
    assert first["templated"] and first["text"].startswith("<|user|><image>")
    assert first["text"].endswith("<|assistant|>")
    assert first["pictures"][0].startswith("picture 1: PNG, 64 x 64, ")
    assert told["repair_prompts"][0]["text"].endswith("<|assistant|>")
    told = rehearse(write_pipeline(tmp_path, repair__engine=SERVER))
    text = told["repair_prompts"][0]["text"]
    assert text.startswith("[user] ") and "<picture 1>" in text
    assert "(the policy's wrong answer)" in text and "Reference answer:" in text


def test_text_of_rows_cannot_steer_the_terminal(tmp_path: Path) -> None:
    pipeline = write_pipeline(tmp_path)
    rows = [{"question": "\x1b]0;owned\x07 how\u202e many?", "answer": "\x1b[2J3"}] * 2
    rows.append({**rows[0], "answer": None})
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = invoke("run", pipeline, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "how" in result.stdout and "1 duplicate" in result.stdout
    assert "1 answer_missing, such as rows.jsonl:3" in result.stdout
    for sign in ("\x1b", "\x07", "\u202e"):
        assert sign not in result.output


def test_rejects_are_explained_and_none_left_is_an_error(tmp_path: Path) -> None:
    pipeline = write_pipeline(tmp_path)
    for path in tmp_path.glob("*.png"):
        path.unlink()
    result = invoke("run", pipeline, "--dry-run")
    assert result.exit_code == 1
    assert "none of the first 3 rows became a prompt: 3 image_missing." in result.stderr
    assert "rows.jsonl:1" in result.stderr


def test_what_check_finds_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    hosted = {**SERVER, "base_url": "https://api.example.com/v1"}
    pipeline = write_pipeline(tmp_path, repair__engine=hosted)
    result = invoke("run", pipeline, "--dry-run")
    assert result.exit_code == 1
    assert "OPENAI_API_KEY" in result.stderr and "<|user|>" in result.stdout
    assert invoke("run", pipeline, "--dry-run", "--no-check").exit_code == 0


@pytest.mark.parametrize("command", ["run", "sample", "repair"])
def test_out_is_needed_for_work_alone(command: str, tmp_path: Path) -> None:
    pipeline = write_pipeline(tmp_path)
    assert invoke(command, pipeline, "--dry-run").exit_code == 0
    result = invoke(command, pipeline)
    assert result.exit_code == 2 and "--out" in result.output


def test_imported_answers_are_shown_in_the_repair_prompt(tmp_path: Path) -> None:
    path = write_source(tmp_path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows = [{**row, "response": f"I say {number}."} for number, row in enumerate(rows)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    imports = {"source": "jsonl", "path": str(path), "tokenizer": "demo:policy"}
    pipeline = tmp_path / "imports.yaml"
    pipeline.write_text(yaml.safe_dump({"imports": imports, "repair": {"engine": SERVER}}))
    result = invoke("import", pipeline, "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert "I say 0." in told["repair_prompts"][0]["text"]
    assert told["estimate"]["stages"]["repair"]["requests"] == {"least": 0, "most": 6}


def test_amounts_add_up() -> None:
    unknown = Amount(1, None) + Amount(2, 3)
    assert (unknown.least, unknown.most) == (3, None)
    work = Work(Amount(1, 2), Amount(10, 20), Amount(), Amount(100, 200))
    priced = add_up([work, work]).priced(Price(prompt=1, completion=10))
    assert priced.usd.to_json(6) == {"least": 0.00202, "most": 0.00404}


@pytest.fixture
def grown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A pipeline over ten questions and a run that has drawn and repaired all answers to seven."""
    models = Models(answer_by_index(["fine", "poor", "poor", "fine"]), {"poor": ["fine"]})
    pipeline = make_scripted(tmp_path)
    models.run(tmp_path / "run", pipeline, monkeypatch)
    with (tmp_path / "questions.jsonl").open("a") as source:
        for row in [*({"question": f"What is new {i}?", "answer": "fine"} for i in range(3)), {}]:
            source.write(json.dumps({"question": "?", "answer": "", **row}) + "\n")
    return tmp_path / "run", tmp_path


def count_requests(told: dict[str, Any], stage: str) -> tuple[float, float]:
    found = told["estimate"]["stages"][stage]["requests"]
    return found["least"], found["most"]


def test_only_what_is_left_of_a_run_that_grows_is_counted(grown: tuple[Path, Path]) -> None:
    root, _ = grown
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    told = rehearse(root, "--no-check")
    assert told["growth"] == {
        "there": 7,
        "new": 3,
        "missing": 0,
        "changed": 0,
        "unread": 0,
        "new_answers": 0,
    }
    assert count_requests(told, "sample") == (12, 12), "of 28 and 12"
    assert count_requests(told, "repair") == (0, 12 * 2)
    assert told["estimate"]["stages"]["repair"]["usd"]["most"] == pytest.approx(
        told["estimate"]["stages"]["repair"]["prompt_tokens"]["most"] / 1e6, abs=1e-6
    )
    first = told["estimate"]["first_rows"]
    assert (first["new"], first["read"], first["prompts"]) == (True, 4, 3)
    assert first["reasons"] == {"answer_missing": 1}
    assert told["estimate"]["prompts"] == 10
    assert [sent["source"] for sent in told["prompts"]] == [
        "questions.jsonl:8",
        "questions.jsonl:9",
    ]
    more = rehearse(root, "--no-check", "--set", "sample.num_samples=6")
    assert count_requests(more, "sample") == (7 * 2 + 18, 7 * 2 + 18)
    shown = invoke("run", root, "--dry-run", "--no-check").output
    assert "4 new rows read of 11, which would give 10 prompts; 1 rejected." in shown
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_a_run_that_grew_and_was_stopped_is_counted_too(
    grown: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, folder = grown
    run = Run.open_or_create(root, None)
    models = Models(answer_by_index(["fine"] * 4))
    models.run(root, run.read_pipeline(), monkeypatch, ("prompts",))
    assert count_requests(rehearse(root, "--no-check"), "sample") == (12, 12)
    with (folder / "questions.jsonl").open("a") as source:
        source.write(json.dumps({"question": "What is newer?", "answer": "fine"}) + "\n")
    assert count_requests(rehearse(root, "--no-check"), "sample") == (16, 16)


def test_nothing_new_is_nothing_to_do(grown: tuple[Path, Path]) -> None:
    root, folder = grown
    path = folder / "questions.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:7]))
    os.utime(path, (0, 0))
    assert (
        "Nothing is left to do: all of this was done before."
        in invoke("run", root, "--dry-run", "--no-check").output
    )


def test_new_rows_are_checked_before_they_are_read(grown: tuple[Path, Path]) -> None:
    root, folder = grown
    pipeline = Run.open_or_create(root, None).read_pipeline()
    (found,) = check_rows(Scope(pipeline, ("prompts", "mask"), root, new_rows="first"))
    assert found.level == "warning"
    assert found.what == ("1 of the first 4 new rows would be rejected: 1 answer_missing.")
    path = folder / "questions.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:7]) + "{}\n" * 40)
    (found,) = check_rows(Scope(pipeline, ("prompts", "mask"), root, new_rows="first"))
    assert found.level == "warning", "the run has others and goes on"
    assert found.what.startswith("20 of the first 20 new rows would be rejected")
    told = rehearse(root, "--no-check")
    assert count_requests(told, "sample") == (0, 0)
    assert told["estimate"]["first_rows"]["rejects"] == 40


def test_another_source_is_a_finding(grown: tuple[Path, Path], tmp_path: Path) -> None:
    root, _ = grown
    (tmp_path / "other.jsonl").write_text(json.dumps({"question": "Else?", "answer": "x"}) + "\n")
    result = invoke("check", root, "--offline", "--set", f"prompts.path={tmp_path / 'other.jsonl'}")
    assert "none of the 7 prompts of this run" in result.output
