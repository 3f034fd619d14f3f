"""Tables of answers to imitate hold those that the recipe `sft` trains on; all tables load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dfgen.export.exporting import export_tables
from dfgen.export.tables import TABLES
from dfgen.store.finished import FinishedRun, open_finished
from dfgen.trainers.examples import make_examples
from tests.support.bare_run import make_bare_run
from tests.support.sample_run import make_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return open_finished(make_run(tmp_path_factory.mktemp("run") / "run", prompts=60, samples=3))


def write(finished: FinishedRun, name: str, out: Path) -> list[dict[str, Any]]:
    manifest = export_tables(finished, [name], out, flat=True)
    files = manifest.tables[name].files
    return [row for file in files for row in pq.read_table(out / file.path).to_pylist()]


def test_sft_rows_are_right_and_repaired_answers(finished: FinishedRun, tmp_path: Path) -> None:
    rows = write(finished, "sft", tmp_path / "sft")
    masks = list(finished.run.table("masks").iter_rows())
    wanted = [
        (mask["trajectory_id"], mask["repair"] or mask["completion"])
        for mask in masks
        if mask["mask_source"] in ("repair", "correct")
    ]
    assert [(row["trajectory_id"], row["messages"][-1]["content"]) for row in rows] == wanted
    export_tables(finished, ["groups"], tmp_path / "groups", flat=True)
    examples = list(make_examples(tmp_path / "groups", "sft", say=None))
    assert {row["kind"] for row in rows} == {"right", "repair"}
    for row, example in zip(rows, examples, strict=True):
        assert row["kind"] == example.kind
        assert row["images"] == example.images
        assert row["messages"] == [
            *example.messages,
            {"role": "assistant", "content": example.text},
        ]
        assert row["prompt"] == example.prompt
        text = [{"type": "text", "text": example.text}]
        assert row["completion"] == [{"role": "assistant", "content": text}]


def test_chord_rows_are_whole_repairs(finished: FinishedRun, tmp_path: Path) -> None:
    rows = write(finished, "chord", tmp_path / "chord")
    repaired = [row for row in write(finished, "sft", tmp_path / "sft") if row["kind"] == "repair"]
    assert len(rows) == len(repaired) > 20
    for row, wanted in zip(rows, repaired, strict=True):
        assert row == {name: wanted[name] for name in row}


def test_luffy_rows_have_the_smallest_repair(finished: FinishedRun, tmp_path: Path) -> None:
    rows = write(finished, "luffy", tmp_path / "luffy")
    groups = write(finished, "groups", tmp_path / "groups")
    assert [row["prompt_id"] for row in rows] == [group["prompt_id"] for group in groups]
    kinds = set()
    for row, group in zip(rows, groups, strict=True):
        repairs = [t for t in group["trajectories"] if t["mask_source"] == "repair"]
        kinds.add(bool(repairs))
        assert row["prompt"] == group["messages"]
        for name in ("images", "data_source", "ability", "reward_model", "extra_info"):
            assert row[name] == group[name]
        if not repairs:
            assert (row["target"], row["trajectory_id"]) == (None, None)
            continue
        least = min(repairs, key=lambda t: t["quality"]["edit_ratio"])
        assert row["trajectory_id"] == least["trajectory_id"]
        assert row["target"] == [{"role": "assistant", "content": least["repair"]}]
    assert kinds == {True, False}


def test_a_literal_placeholder_in_an_answer_is_no_picture() -> None:
    from dfgen.export.chats import make_answer

    assert make_answer("see <image>")["content"] == "see [image]"


@pytest.mark.parametrize("prompts", ["all", "some", "none"])
def test_runs_of_pairs_give_every_table_that_they_can(
    finished: FinishedRun, tmp_path: Path, prompts: Any
) -> None:
    from dfgen.export.making import can_make

    bare = open_finished(make_bare_run(finished.run.root, tmp_path / "bare", prompts))
    names = [name for name, table in TABLES.items() if can_make(bare, table)]
    assert names == (["trajectories"] if prompts == "none" else list(TABLES))
    manifest = export_tables(bare, names, tmp_path / "out")
    assert all(manifest.tables[name].rows for name in names)


@pytest.mark.parametrize("name", list(TABLES))
def test_datasets_loads_every_table(
    finished: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    import datasets
    import PIL.Image

    rows = write(finished, name, tmp_path / "out")
    files = [str(path) for path in sorted((tmp_path / "out").glob("*.parquet"))]
    cache = str(tmp_path / "cache")
    table = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=cache)
    assert len(table) == len(rows)
    schema = TABLES[name].make_schema("0" * 64)
    assert table.column_names == schema.names
    if "images" in schema.names and "bytes" in str(schema.field("images").type):
        assert isinstance(table[0]["images"][0], PIL.Image.Image)
