"""The four tables say what the run says, under names that no stock loader trips over."""

from __future__ import annotations

import json
import shutil
from collections import deque
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfgen.errors import InputError, InvalidDataError, StorageError
from dfgen.export.exporting import export_tables
from dfgen.export.making import iter_tables
from dfgen.export.tables import TABLES
from dfgen.records import Mask
from dfgen.store.finished import FinishedRun, open_finished
from dfgen.store.shards import ShardTable
from tests.support.bare_run import make_bare_run
from tests.support.sample_run import make_pipeline


@pytest.fixture(scope="module")
def finished(run: Path) -> FinishedRun:
    return open_finished(run)


@pytest.fixture(scope="module")
def tables(finished: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    folder = tmp_path_factory.mktemp("tables")
    manifest = export_tables(finished, list(TABLES), folder)
    found = {}
    for config, table in manifest.tables.items():
        found[config] = [
            row for file in table.files for row in pq.read_table(folder / file.path).to_pylist()
        ]
        assert table.rows == len(found[config])
    return found


def test_groups_hold_every_prompt_and_every_mask_in_order(finished, tables) -> None:
    masks = list(finished.run.table("masks").iter_rows())
    nested = [t for row in tables["groups"] for t in row["trajectories"]]
    assert [t["trajectory_id"] for t in nested] == [mask["trajectory_id"] for mask in masks]
    for trajectory, mask in zip(nested, masks, strict=True):
        mask["completion_text"] = mask.pop("completion")
        del mask["prompt_id"]
        assert trajectory == mask
    prompts = {row["prompt_id"]: row for row in finished.run.table("prompts").iter_rows()}
    for row in tables["groups"]:
        assert row["images"] == prompts[row["prompt_id"]]["images"]
        assert all(t["trajectory_id"].startswith(row["prompt_id"]) for t in row["trajectories"])


def test_a_prompt_is_put_in_three_forms(tables) -> None:
    for index, row in enumerate(tables["groups"]):
        question = row["prompt"][0]["content"][1]["text"]
        assert row["prompt"][0]["content"][0] == {"type": "image", "text": None}
        assert row["messages"] == [{"role": "user", "content": f"<image>{question}"}]
        assert row["problem"] == f"<image>{question}"
        assert row["reward_model"] == {"style": "rule", "ground_truth": row["answer"]}
        assert row["extra_info"]["index"] == index
        assert row["problem"].count("<image>") == len(row["images"])


def test_trajectories_are_the_groups_without_pictures(tables) -> None:
    flat = [
        {"prompt_id": row["prompt_id"], "problem": row["problem"], **trajectory}
        for row in tables["groups"]
        for trajectory in row["trajectories"]
    ]
    shared = [{k: v for k, v in row.items() if k in flat[0]} for row in tables["trajectories"]]
    assert shared == flat
    assert "images" not in tables["trajectories"][0]


def test_preference_sets_the_repair_against_the_wrong_answer(tables) -> None:
    repaired = [row for row in tables["trajectories"] if row["mask_source"] == "repair"]
    assert len(tables["preference"]) == len(repaired) > 0
    for row, mask in zip(tables["preference"], repaired, strict=True):
        assert row["chosen"][0]["content"] == [{"type": "text", "text": mask["repair"]}]
        assert row["rejected"][0]["content"][0]["text"] == mask["completion_text"]
        assert row["prompt"][-1]["role"] == "user"
        assert len(row["images"]) == 1


def test_steps_make_up_the_answer_and_touched_ones_are_wrong(tables) -> None:
    masks = {row["trajectory_id"]: row for row in tables["trajectories"]}
    assert {row["mask_source"] for row in tables["stepwise"]} == {"repair", "correct"}
    for row in tables["stepwise"]:
        mask = masks[row["trajectory_id"]]
        assert "".join(row["completions"]) == mask["completion_text"]
        assert len(row["labels"]) == len(row["completions"])
        if mask["mask_source"] == "correct":
            assert all(row["labels"])
        else:
            assert row["labels"] == [not touched for touched in mask["step_labels"]]


@pytest.mark.parametrize("config", list(TABLES))
def test_column_names_trip_nobody(config) -> None:
    schema = TABLES[config].make_schema("0" * 64)
    names = set(schema.names)
    if "prompt" in names and config != "stepwise":
        # TRL: a plain string among these beside a conversational prompt, or `completions`, fails.
        assert "completions" not in names
        for name in {"chosen", "rejected", "completion", "messages"} & names:
            assert str(schema.field(name).type).startswith("list<")
    if "images" in names:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        assert features == {"images": [{"_type": "Image"}]}
    assert "not null" not in str(schema)


def test_system_message_choices_and_literal_placeholders() -> None:
    from dfgen.export.chats import ChatMaker

    pipeline = make_pipeline(1, 1, 0)
    pipeline = pipeline.model_copy(
        update={
            "sample": pipeline.sample.model_copy(
                update={"system": "Look at <image>.", "prompt": "{question}{choices}\n{images}Go."}
            )
        }
    )
    chat = ChatMaker(pipeline).make("What is <image>?", ["a", "b"], 2)
    assert chat.messages == [
        {"role": "system", "content": "Look at [image]."},
        {"role": "user", "content": "What is [image]?\nA. a\nB. b\n<image><image>Go."},
    ]
    assert [block["type"] for block in chat.blocks[1]["content"]] == [
        *("text", "image", "image", "text")
    ]


def test_equal_runs_give_equal_files(finished, tmp_path: Path) -> None:
    first = export_tables(finished, list(TABLES), tmp_path / "a")
    assert export_tables(finished, list(TABLES), tmp_path / "b") == first
    assert (tmp_path / "a/dfgen.json").read_bytes() == (tmp_path / "b/dfgen.json").read_bytes()


@pytest.mark.parametrize("config", ["groups", "trajectories"])
def test_no_shard_is_held_while_the_next_is_read(
    config: str, finished: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, read = list[int](), list[int]()
    real = ShardTable.read

    def watched(self: ShardTable, shard: int, columns: Any = None) -> pa.Table:
        if self.model is not Mask:
            return real(self, shard, columns)
        held.append(pa.total_allocated_bytes())
        table = real(self, shard, columns)
        read.append(table.nbytes)
        return table

    monkeypatch.setattr(ShardTable, "read", watched)
    monkeypatch.setattr(ShardTable, "shards", lambda _: [0] * 4)  # the same one every time
    deque(iter_tables(finished, TABLES[config], "0" * 64), maxlen=0)
    assert len(held) == 4
    assert max(held) - held[0] < min(read) / 2


def test_exporting_again_replaces_and_other_things_are_left_alone(finished, tmp_path: Path) -> None:
    export_tables(finished, ["groups"], tmp_path / "out", flat=True)
    first = (tmp_path / "out/dfgen.json").read_bytes()
    export_tables(finished, ["groups"], tmp_path / "out", flat=True)
    assert (tmp_path / "out/dfgen.json").read_bytes() == first
    with pytest.raises(StorageError, match="holds the table groups, which would be lost"):
        export_tables(finished, ["trajectories"], tmp_path / "out", flat=True)
    assert (tmp_path / "out/dfgen.json").read_bytes() == first
    assert len(list((tmp_path / "out").glob("*.parquet"))) == 1
    export_tables(finished, ["groups", "stepwise"], tmp_path / "both")
    with pytest.raises(StorageError, match="holds the table stepwise, which"):
        export_tables(finished, ["groups"], tmp_path / "both")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    with pytest.raises(StorageError, match="holds no data set"):
        export_tables(finished, ["groups"], tmp_path / "mine")


@pytest.mark.parametrize("table", ["prompts", "trajectories", "repairs", "masks"])
@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_damaged_run_is_not_exported(run: Path, tmp_path: Path, table: str, damage: str) -> None:
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / table / "part-00000.parquet"
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-9] + b"x" + path.read_bytes()[-8:])
    wanted = "is gone" if damage == "gone" else "its checksum differs"
    with pytest.raises(InvalidDataError, match=rf"{table}/part-00000\.parquet: .*{wanted}"):
        export_tables(open_finished(tmp_path / "run"), ["groups"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_shard_of_several_that_is_gone_is_missed(run: Path, tmp_path: Path) -> None:
    bare = make_bare_run(run, tmp_path / "bare", "some")
    manifest = json.loads((bare / "run.json").read_text())
    manifest["shards"] = {
        "mask": {"0": {}, "1": {}, "2": {"sha256": {"masks/part-00002.parquet": ""}}}
    }
    (bare / "run.json").write_text(json.dumps(manifest))
    with pytest.raises(InvalidDataError, match=r"part-00002\.parquet: is gone"):
        export_tables(open_finished(bare), ["trajectories"], tmp_path / "out")


def test_masks_without_a_question_are_counted_and_said(run: Path, tmp_path: Path) -> None:
    bare = open_finished(make_bare_run(run, tmp_path / "bare", "some"))
    said: list[str] = []
    names = ["groups", "trajectories", "examples"]
    manifest = export_tables(bare, names, tmp_path / "out", say=said.append)
    masks = bare.run.table("masks")
    total = sum(masks.num_rows(number) for number in masks.shards())
    lost = total - manifest.tables["groups"].trajectories
    assert 0 < lost < total
    assert manifest.tables["trajectories"].trajectories == total
    assert manifest.tables["groups"].masks_left_out == lost
    assert manifest.tables["examples"].masks_left_out == lost
    assert manifest.tables["trajectories"].masks_left_out == 0
    told = [line for line in said if line.startswith("left out")]
    assert told == [
        f"left out of {name}: {lost:,} masks whose question the run does not hold"
        for name in ("groups", "examples")
    ]


def test_the_export_of_another_run_is_not_written_over(run: Path, tmp_path: Path) -> None:
    export_tables(open_finished(run), ["groups"], tmp_path / "out", flat=True)
    other = shutil.copytree(run, tmp_path / "other")
    manifest = json.loads((other / "run.json").read_text("utf-8"))
    (other / "run.json").write_text(json.dumps(manifest | {"created": "2020-01-01T00:00:00Z"}))
    with pytest.raises(StorageError, match="export of another run"):
        export_tables(open_finished(other), ["groups"], tmp_path / "out", flat=True)


def test_a_run_without_masks_is_refused(tmp_path: Path) -> None:
    from dfgen.store.run import Run

    Run.open_or_create(tmp_path / "run", make_pipeline(1, 1, 0))
    with pytest.raises(InputError, match="mask stage has not finished"):
        export_tables(open_finished(tmp_path / "run"), ["groups"], tmp_path / "out")


def test_no_path_of_this_machine_is_in_the_manifest(finished, tmp_path: Path) -> None:
    export_tables(finished, ["groups"], tmp_path / "out")
    assert str(finished.run.root) not in (tmp_path / "out/dfgen.json").read_text()
