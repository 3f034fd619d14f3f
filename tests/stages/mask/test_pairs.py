"""`dfgen mask --pairs`: people's own (wrong, right) texts become mask files."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from dfgen.cli.main import cli
from dfgen.stages.mask import pairs
from dfgen.stages.workers import Pace
from dfgen.store.finished import open_finished

ROWS: list[dict[str, Any]] = [
    {"id": "a", "wrong": "I see 3 cats.", "right": "I see 4 cats."},
    {"id": "b", "wrong": "same", "right": "same"},
    {"id": "a", "wrong": "again", "right": "the same id"},
    {"id": "c", "wrong": None, "right": "no wrong text"},
    {"id": "d", "wrong": "ids", "right": "other", "completion_ids": [1, 2, "x"]},
    {"id": "e", "wrong": "ids", "right": "other", "completion_ids": [10**6]},
]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def mask_pairs(
    source: Path, out: Path, *options: str, tokenizer: str | None = "demo:policy"
) -> Result:
    named = () if tokenizer is None else ("--tokenizer", tokenizer)
    command = ["mask", "--pairs", str(source), "--out", str(out), "--json", *named, *options]
    return CliRunner().invoke(cli, command)


def read(out: Path, folder: str) -> list[dict[str, Any]]:
    return [
        row
        for f in sorted((out / folder).glob("*.parquet"))
        for row in pq.read_table(f).to_pylist()
    ]


def test_rows_keep_their_ids_and_bad_ones_say_why(tmp_path: Path) -> None:
    result = mask_pairs(write_jsonl(tmp_path / "p.jsonl", ROWS), tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["counts"] == {"input": 6, "output": 2, "rejects": 4}
    masks = {row["trajectory_id"]: row for row in read(tmp_path / "out", "masks")}
    assert set(masks) == {"a", "b"}
    assert sum(masks["a"]["loss_mask"]) == 1
    assert not any(masks["b"]["loss_mask"])
    assert masks["a"]["ids_source"] == "encoded"
    reasons = {row["reason"] for row in read(tmp_path / "out", "rejects")}
    assert {"duplicate_id", "text_missing", "ids_invalid"} <= reasons
    assert CliRunner().invoke(cli, ["validate", str(tmp_path / "out")]).exit_code == 0


def test_parquet_with_other_names_and_pictures(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(picture, "PNG")
    table = pa.Table.from_pylist(
        [
            {
                "rejected": "one dog",
                "chosen": "two dogs",
                "image": {"bytes": picture.getvalue(), "path": "x.png"},
                "question": "How many?",
            }
        ]
    )
    pq.write_table(table, tmp_path / "p.parquet")
    result = mask_pairs(
        tmp_path / "p.parquet", tmp_path / "out", "--map", "wrong=rejected", "--map", "right=chosen"
    )
    assert result.exit_code == 0, result.output
    (mask,), (prompt,) = read(tmp_path / "out", "masks"), read(tmp_path / "out", "prompts")
    assert mask["prompt_id"] == prompt["prompt_id"]
    assert mask["trajectory_id"] == "p.parquet:0"
    assert prompt["question"] == "How many?"
    assert prompt["images"][0]["bytes"] == picture.getvalue()


def test_several_processes_make_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"id": str(i), "wrong": f"it is {i}", "right": f"it is {i + 1}"} for i in range(4100)]
    source = write_jsonl(tmp_path / "p.jsonl", rows)
    # 0: as many as pay; here every look at the clock is a minute later.
    minutes = iter(range(0, 10**6, 60))
    monkeypatch.setattr(pairs, "Pace", lambda: Pace(clock=lambda: float(next(minutes))))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    for workers in ("1", "2", "0"):
        result = mask_pairs(source, tmp_path / workers, "--workers", workers)
        assert result.exit_code == 0, result.output
    one, two, measured = (
        {f.name: f.read_bytes() for f in (tmp_path / w / "masks").glob("*")}
        for w in ("1", "2", "0")
    )
    assert len(one) == 3
    assert one == two == measured
    # Two looks at the clock for each chunk that is made here: three by one process, and one before
    # others take over.
    assert next(minutes) == 60 * 2 * (3 + 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--map", "wrong"), "not of the form FIELD=COLUMN"),
        (("--map", "worng=x"), "did you mean 'wrong'?"),
        (("--map", "wrong=gone"), "no column 'gone'"),
        (("--set", "mask.crums=false"), "did you mean 'crumbs'?"),
    ],
)
def test_wrong_options(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    source = write_jsonl(tmp_path / "p.jsonl", ROWS[:1])
    result = mask_pairs(source, tmp_path / "out", *options)
    assert result.exit_code == 1, result.output
    assert message in result.output
    assert "Traceback" not in result.output


def test_the_tokenizer_is_required_and_recorded(tmp_path: Path) -> None:
    source, out = write_jsonl(tmp_path / "p.jsonl", ROWS[:1]), tmp_path / "out"
    result = mask_pairs(source, out, tokenizer=None)
    assert result.exit_code == 2
    assert "--pairs needs --tokenizer" in result.output
    assert not out.exists()
    result = mask_pairs(source, out, tokenizer="/nowhere")
    assert result.exit_code == 1
    assert "/nowhere" in result.output
    assert mask_pairs(source, tmp_path / "good").exit_code == 0
    manifest = json.loads((tmp_path / "good" / "run.json").read_text())
    assert manifest["kind"] == "pairs"
    assert manifest["tables"] == ["prompts", "masks", "rejects"]
    assert manifest["pipeline"]["pairs"]["tokenizer"] == "demo:policy"
    assert len(manifest["stages"]["mask"]["facts"]["tokenizer"]) == 64


NUMBERED = [{"id": str(i), "wrong": f"it is {i}", "right": f"it is {i + 1}"} for i in range(5)]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("--set", "mask.crumbs=false"), "mask.crumbs: true -> false"),
        (("--set", "mask.insertion_anchor=both"), "mask.insertion_anchor"),
        (("--tokenizer", "demo:repairer"), "pairs.tokenizer"),
    ],
)
def test_other_settings_are_refused_by_name(
    tmp_path: Path, change: tuple[str, ...], named: str
) -> None:
    source, out = write_jsonl(tmp_path / "p.jsonl", NUMBERED), tmp_path / "out"
    assert mask_pairs(source, out).exit_code == 0
    before = (out / "masks" / "part-00000.parquet").read_bytes()
    result = mask_pairs(source, out, *change)
    assert result.exit_code == 1, result.output
    assert named in result.output
    assert (out / "masks" / "part-00000.parquet").read_bytes() == before
    assert mask_pairs(source, out).exit_code == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: [{**rows[0], "right": "it is 7"}, *rows[1:]],
        lambda rows: [rows[1], rows[0], *rows[2:]],
        lambda rows: [{**rows[0], "id": "another"}, *rows[1:]],
        lambda rows: rows[:-1],
    ],
    ids=["a text", "the order", "an id", "a row is gone"],
)
def test_changed_pairs_are_refused(tmp_path: Path, change: Any) -> None:
    source, out = write_jsonl(tmp_path / "p.jsonl", NUMBERED), tmp_path / "out"
    assert mask_pairs(source, out).exit_code == 0
    before = read(out, "masks")
    result = mask_pairs(write_jsonl(source, change(NUMBERED)), out)
    assert result.exit_code == 1, result.output
    assert "the source is not the one that this run was made with" in result.output
    assert read(out, "masks") == before


def test_added_pairs_become_new_shards(tmp_path: Path) -> None:
    """Rows at the end of the source are masked; the shards there are stay as they are."""
    source, out = write_jsonl(tmp_path / "p.jsonl", NUMBERED[:3]), tmp_path / "out"
    assert mask_pairs(source, out, "--limit", "2").exit_code == 0
    first = (out / "masks" / "part-00000.parquet").read_bytes()
    assert [row["trajectory_id"] for row in read(out, "masks")] == ["0", "1"]
    assert mask_pairs(source, out).exit_code == 0
    moved = write_jsonl(tmp_path / "moved.jsonl", NUMBERED)
    result = mask_pairs(moved, out)
    assert json.loads(result.stdout)["counts"] == {"input": 5, "output": 5, "rejects": 0}
    assert [row["trajectory_id"] for row in read(out, "masks")] == list("01234")
    assert (out / "masks" / "part-00000.parquet").read_bytes() == first
    assert CliRunner().invoke(cli, ["validate", str(out)]).exit_code == 0


def test_a_run_takes_no_options_of_pairs(tmp_path: Path) -> None:
    recipe = tmp_path / "x.yaml"
    recipe.write_text("")
    for option in (("--tokenizer", "demo:policy"), ("--map", "a=b"), ("--workers", "2")):
        command = ["mask", str(recipe), "--out", str(tmp_path / "run"), *option]
        result = CliRunner().invoke(cli, command)
        assert result.exit_code == 2, result.output
        assert f"{option[0]} is for --pairs" in result.output


def test_runs_of_another_kind_are_refused(tmp_path: Path) -> None:
    source, out = write_jsonl(tmp_path / "p.jsonl", NUMBERED), tmp_path / "out"
    assert mask_pairs(source, out).exit_code == 0
    arguments = ["retokenize", str(out), "--tokenizer", "demo:repairer", "--out", str(out)]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    assert "pairs of wrong and corrected texts" in result.output


def test_masks_are_carried_over_once(tmp_path: Path) -> None:
    """A retokenized run knows where it comes from, goes on, and follows what has changed."""
    source, pairs, out = tmp_path / "p.jsonl", tmp_path / "pairs", tmp_path / "out"
    rows = [{**row, "question": f"question {row['id']}?"} for row in NUMBERED]
    assert mask_pairs(write_jsonl(source, rows[:3]), pairs).exit_code == 0
    command = ["retokenize", str(pairs), "--tokenizer", "demo:repairer", "--out", str(out)]
    for expected in (3, 3):
        result = CliRunner().invoke(cli, [*command, "--json"])
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["counts"]["output"] == expected
    manifest = json.loads((out / "run.json").read_text())
    assert manifest["kind"] == "retokenized"
    assert manifest["tables"] == ["masks", "rejects"]
    prompts = open_finished(out).prompts
    assert prompts is not None
    assert len(list(prompts.iter_rows())) == 3
    assert mask_pairs(write_jsonl(source, rows), pairs).exit_code == 0
    result = CliRunner().invoke(cli, [*command, "--json"])
    assert json.loads(result.stdout)["counts"]["output"] == 5
    assert CliRunner().invoke(cli, ["validate", str(out)]).exit_code == 0
    for options, message in (
        (["--tokenizer", "demo:policy"], "retokenize.tokenizer"),
        ([], "the source has no shard 1 any more"),
    ):
        if not options:
            (pairs / "masks" / "part-00001.parquet").unlink()
        result = CliRunner().invoke(cli, [*command, *options])
        assert result.exit_code == 1, result.output
        assert message in result.output


def test_a_blank_cut_in_another_way_is_no_equal_token(tmp_path: Path) -> None:
    """Beside an edit the same text may be other tokens; carried over, that holds as well."""
    wrong = ["The answer is **4**, so 5", "It is 4, 12 and 1 2.", "a  b 3 c", "I see **3** cats"]
    right = ["The answer is 4, so 6", "It is 4, 21 and 12.", "a b 4 c", "I see 4 cats"]
    rows = [
        {"id": str(i), "wrong": one, "right": other}
        for i, (one, other) in enumerate(zip(wrong, right, strict=True))
    ]
    pairs = tmp_path / "pairs"
    assert mask_pairs(write_jsonl(tmp_path / "p.jsonl", rows), pairs).exit_code == 0
    for tokenizer in ("demo:policy", "demo:repairer"):
        out = tmp_path / tokenizer.replace(":", "-")
        arguments = ["retokenize", str(pairs), "--tokenizer", tokenizer, "--out", str(out)]
        assert CliRunner().invoke(cli, arguments).exit_code == 0
        result = CliRunner().invoke(cli, ["validate", str(out)])
        assert result.exit_code == 0, result.output


def test_empty_texts_are_rejects_with_a_reason(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "wrong": "", "right": "x"},
        {"id": "b", "wrong": "x", "right": ""},
        {"id": "c", "wrong": "x 1", "right": "x 2"},
    ]
    out = tmp_path / "out"
    assert mask_pairs(write_jsonl(tmp_path / "p.jsonl", rows), out).exit_code == 0
    assert [row["trajectory_id"] for row in read(out, "masks")] == ["c"]
    assert [row["reason"] for row in read(out, "rejects")] == ["text_missing"] * 2
    report = ["report", str(out), "--out", str(tmp_path / "page.html")]
    assert CliRunner().invoke(cli, report).exit_code == 0


def test_a_wrong_tokenizer_leaves_no_run_behind(tmp_path: Path) -> None:
    source, out = write_jsonl(tmp_path / "p.jsonl", NUMBERED), tmp_path / "out"
    assert mask_pairs(source, out, tokenizer="/nowhere").exit_code == 1
    assert not out.exists()


def test_pairs_or_pipeline_but_not_both(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["mask", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "either a run (RUN, or PIPELINE --out RUN) or --pairs" in result.output


def test_retokenize_needs_masks(tmp_path: Path) -> None:
    arguments = [
        "retokenize",
        str(tmp_path),
        "--tokenizer",
        "demo:policy",
        "--out",
        str(tmp_path / "x"),
    ]
    assert "holds no mask files" in CliRunner().invoke(cli, arguments).output
    assert not (tmp_path / "x").exists()


def test_pairs_that_mark_nothing(tmp_path: Path) -> None:
    """Equal texts are a row of zeros whatever is set; texts that differ in form alone are not."""
    rows = [
        {"id": "equal", "wrong": "I see 3 cats.", "right": "I see 3 cats."},
        {"id": "form", "wrong": "I see 3 cats.", "right": "I  see 3 cats."},
        {"id": "error", "wrong": "I see 3 cats.", "right": "I see 4 cats."},
    ]
    source = write_jsonl(tmp_path / "p.jsonl", rows)
    assert mask_pairs(source, tmp_path / "rejected").exit_code == 0
    assert [row["trajectory_id"] for row in read(tmp_path / "rejected", "masks")] == [
        "equal",
        "error",
    ]
    (reject,) = read(tmp_path / "rejected", "rejects")
    assert (reject["row_id"], reject["reason"]) == ("form", "mask_empty")
    kept = tmp_path / "kept"
    assert mask_pairs(source, kept, "--set", "mask.empty=keep").exit_code == 0
    loss = {row["trajectory_id"]: any(row["loss_mask"]) for row in read(kept, "masks")}
    assert loss == {"equal": False, "form": False, "error": True}
    for out in (tmp_path / "rejected", kept):
        assert CliRunner().invoke(cli, ["validate", str(out)]).exit_code == 0
