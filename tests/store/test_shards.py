"""Shard files: exact, equal for equal rows, of bounded memory, whole or absent."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dfgen.errors import DamagedFileError, StorageError
from dfgen.records import Mask, Prompt, Record, Reject, Repair, Trajectory
from dfgen.store.shards import ShardTable
from tests.store.examples import (
    make_mask,
    make_prompt,
    make_reject,
    make_repair,
    make_trajectory,
)

EXAMPLES: list[tuple[type[Record], list[Record]]] = [
    (Prompt, [make_prompt("a"), make_prompt("b", b"\x00" * 1000)]),
    (Trajectory, [make_trajectory("a", n, right=n > 1) for n in range(3)]),
    (Repair, [make_repair("a", n) for n in range(3)]),
    (Mask, [make_mask("a", 0, "repair"), make_mask("a", 1), make_mask("b", 0, "outcome")]),
    (Reject, [make_reject("mask", "a-1")]),
]


@pytest.mark.parametrize(("model", "rows"), EXAMPLES, ids=lambda v: getattr(v, "__name__", ""))
@pytest.mark.parametrize("as_mapping", [False, True])
def test_every_record_comes_back(
    tmp_path: Path, model: type[Record], rows: list[Record], as_mapping: bool
) -> None:
    table = ShardTable(tmp_path / "t", model)
    assert table.shards() == [] and not table.exists(0)
    given_rows: list[Any] = [row.model_dump() for row in rows] if as_mapping else rows
    table.write(7, iter(given_rows))
    assert table.shards() == [7] and table.exists(7) and table.num_rows(7) == len(rows)
    assert [model.model_validate(row) for row in table.iter_rows(7)] == rows
    assert table.read(7).num_rows == len(rows)
    assert [path.name for path in (tmp_path / "t").iterdir()] == ["part-00007.parquet"]


class WatchedFile(io.BytesIO):
    """Notes which threads read it."""

    threads: ClassVar[set[int]] = set()

    def read(self, size: int | None = -1) -> bytes:
        self.threads.add(threading.get_ident())
        return super().read(size)


def test_no_thread_of_arrow_holds_a_python_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that lets go of it while the interpreter ends aborts the process."""
    table = ShardTable(tmp_path, Trajectory)
    table.write(0, [make_trajectory("a", n) for n in range(3)])
    with table.open_parts(0) as source:
        assert isinstance(source, pa.OSFile)
    content = table.path(0).read_bytes()
    monkeypatch.setattr(ShardTable, "open_parts", lambda *_: WatchedFile(content))
    monkeypatch.setattr(ShardTable, "is_away", lambda *_: True)
    monkeypatch.setattr(ShardTable, "fetch", lambda *_: None)
    for _ in range(3):
        assert len(list(table.iter_rows(0, ["trajectory_id", "reward"]))) == 3
        assert table.read(0, ["trajectory_id", "verdict"]).num_rows == 3
        assert table.num_rows(0) == 3
        list(table.iter_leaves(0, "cost_usd"))
    assert WatchedFile.threads == {threading.get_ident()}


@given(
    st.lists(
        st.builds(
            Trajectory,
            sample_index=st.integers(0, 2**31 - 1),
            completion=st.text(st.characters(exclude_categories=["Cs"])),
            completion_ids=st.lists(st.integers(0, 2**31 - 1)),
            logprobs=st.none() | st.lists(st.floats(width=32, allow_nan=False)),
            prompt_tokens=st.none(),
            image_tokens=st.none(),
            seed=st.integers(0, 2**63 - 1),
            reward=st.floats(width=32, allow_nan=False),
        ),
        max_size=4,
    )
)
@settings(max_examples=30)
def test_any_trajectory_comes_back(tmp_path_factory: Any, rows: list[Trajectory]) -> None:
    table = ShardTable(tmp_path_factory.mktemp("t"), Trajectory)
    table.write(0, rows)
    assert [Trajectory.model_validate(row) for row in table.iter_rows(0)] == rows


def test_no_rows_make_a_shard(tmp_path: Path) -> None:
    table = ShardTable(tmp_path, Repair)
    table.write(0, [])
    assert table.exists(0) and table.num_rows(0) == 0
    assert list(table.iter_rows()) == []


def test_equal_rows_make_equal_bytes(tmp_path: Path) -> None:
    for model, rows in EXAMPLES:
        one, two = ShardTable(tmp_path / "1", model), ShardTable(tmp_path / "2", model)
        one.write(0, rows)
        two.write(0, [row.model_dump() for row in rows])
        assert one.path(0).read_bytes() == two.path(0).read_bytes()


def test_equal_bytes_in_another_process(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from dfgen.records import Mask;"
        "from dfgen.store.shards import ShardTable; from tests.store.examples import make_mask;"
        "rows = [make_mask('a', n, 'repair') for n in range(999)];"
        "ShardTable(Path(sys.argv[1]), Mask).write(0, rows)"
    )
    here = ShardTable(tmp_path / "here", Mask)
    here.write(0, [make_mask("a", n, "repair") for n in range(999)])
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "there")], check=True, cwd=root)
    there = (tmp_path / "there" / "part-00000.parquet").read_bytes()
    assert here.path(0).read_bytes() == there


def test_numpy_columns_are_taken(tmp_path: Path) -> None:
    row = make_trajectory("a", 0).model_dump()
    row["logprobs"] = np.array([-0.1, -0.2, -0.3, -0.4], dtype=np.float32)
    row["completion_ids"] = np.arange(4, dtype=np.int32)
    table = ShardTable(tmp_path, Trajectory)
    table.write(0, [row])
    (back,) = table.iter_rows()
    assert np.array_equal(np.array(back["logprobs"], np.float32), row["logprobs"])
    assert back["completion_ids"] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "change", [{"reward": None}, {"extra": 1}, {"completion_ids": "abc"}, {"completion": ...}]
)
def test_wrong_rows_are_refused_and_leave_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    row = make_trajectory("a", 0).model_dump() | change
    row = {name: value for name, value in row.items() if value is not ...}
    table = ShardTable(tmp_path, Trajectory)
    with pytest.raises(ValidationError):
        table.write(0, [make_trajectory("a", 1), row])
    assert list(tmp_path.iterdir()) == []


def test_a_failed_rewrite_keeps_the_old_shard(tmp_path: Path) -> None:
    def break_off() -> Iterator[Record]:
        yield make_trajectory("b", 0)
        raise KeyboardInterrupt

    table = ShardTable(tmp_path, Trajectory)
    table.write(0, [make_trajectory("a", 0)])
    with pytest.raises(KeyboardInterrupt):
        table.write(0, break_off())
    assert [row["prompt_id"] for row in table.iter_rows(0)] == ["a"]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_record_of_another_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"no dfgen\.mask/1"):
        ShardTable(tmp_path, Mask).write(0, [make_trajectory("a", 0)])


def test_settings_of_the_files(tmp_path: Path) -> None:
    table = ShardTable(tmp_path, Prompt, row_group_bytes=3_000_000)
    noise = np.random.default_rng(0)
    table.write(0, [make_prompt(f"{n:04d}", noise.bytes(1_000_000)) for n in range(10)])
    metadata = pq.read_metadata(table.path(0))
    sizes = [metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)]
    assert metadata.num_row_groups in (2, 3, 4) and max(sizes) < 5_000_000
    group = metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    picture = columns["images.list.element.bytes"]
    assert picture.compression == "UNCOMPRESSED"
    assert not picture.has_dictionary_page
    assert columns["question"].compression == "ZSTD"
    assert all(column.has_offset_index for column in columns.values())
    assert metadata.metadata[b"dfgen.schema"] == b"dfgen.prompt/1"


def test_memory_stays_flat(tmp_path: Path) -> None:
    def make() -> Iterator[Prompt]:
        for n in range(120):
            yield make_prompt(f"{n:04d}", bytes([n % 251]) * 1_000_000)

    pool = pa.default_memory_pool()
    table = ShardTable(tmp_path, Prompt, row_group_bytes=8_000_000)
    table.write(0, make())
    before = pool.bytes_allocated()
    peak = 0
    count = 0
    for row in table.iter_rows():
        count += 1
        assert len(row["images"][0]["bytes"]) == 1_000_000
        peak = max(peak, pool.bytes_allocated() - before)
    assert count == 120
    assert peak < 60_000_000


def test_rows_can_be_chosen(tmp_path: Path) -> None:
    table = ShardTable(tmp_path, Trajectory)
    table.write(0, [make_trajectory("a", index) for index in range(3)])
    table.write(1, [make_trajectory("b", 0)])
    rows = table.iter_rows(
        columns=["trajectory_id", "sample_index"],
        where=lambda batch: pc.not_equal(batch["sample_index"], 1),
    )
    assert [row["trajectory_id"] for row in rows] == ["a-0", "a-2", "b-0"]


def test_columns_can_be_chosen(tmp_path: Path) -> None:
    table = ShardTable(tmp_path, Trajectory)
    table.write(0, [make_trajectory("a", 0)])
    assert list(table.iter_rows(columns=["reward", "trajectory_id"])) == [
        {"reward": 0.0, "trajectory_id": "a-0"}
    ]
    assert table.read(0, ["verdict"]).column_names == ["verdict"]
    with pytest.raises(ValueError, match="rewards"):
        table.read(0, ["rewards"])


def test_missing_and_damaged_shards_are_named(tmp_path: Path) -> None:
    table = ShardTable(tmp_path, Trajectory)
    with pytest.raises(StorageError, match="no shard 4"):
        table.num_rows(4)
    table.write(0, [make_trajectory("a", n) for n in range(500)])
    content = table.path(0).read_bytes()
    for broken in (b"", b"PAR1", content[:-20], content[: len(content) // 2]):
        table.path(0).write_bytes(broken)
        with pytest.raises(DamagedFileError, match=r"part-00000\.parquet"):
            table.read(0)
        with pytest.raises(DamagedFileError):
            list(table.iter_rows())


@given(data=st.data())
@settings(max_examples=150)
def test_flipped_bytes_are_noticed_or_harmless(tmp_path_factory: Any, data: st.DataObject) -> None:
    table = ShardTable(tmp_path_factory.mktemp("t"), Trajectory)
    rows = [make_trajectory("a", n) for n in range(50)]
    table.write(0, rows)
    content = bytearray(table.path(0).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    table.path(0).write_bytes(content)
    try:
        back = list(table.iter_rows())
    except DamagedFileError:
        return
    assert [Trajectory.model_validate(row) for row in back] == rows


def test_a_damaged_page_header_is_noticed(tmp_path: Path) -> None:
    """pyarrow 26 reads such a file as one without rows."""
    table = ShardTable(tmp_path, Trajectory)
    table.write(0, [make_trajectory("a", n) for n in range(50)])
    content = table.path(0).read_bytes()
    silent = 0
    for place in range(4, 400):
        table.path(0).write_bytes(content[:place] + b"\x01" + content[place + 1 :])
        for read in (lambda: table.read(0).num_rows, lambda: len(list(table.iter_rows(0)))):
            try:
                assert read() == 50
            except DamagedFileError as error:
                silent += "of its 50 rows" in str(error)
    assert silent


def test_rows_of_another_record_are_refused(tmp_path: Path) -> None:
    ShardTable(tmp_path, Repair).write(0, [make_repair("a", 0)])
    with pytest.raises(DamagedFileError, match=r"dfgen\.repair/1, not dfgen\.trajectory/1"):
        ShardTable(tmp_path, Trajectory).num_rows(0)


def test_rows_with_the_columns_of_another_version_are_refused(tmp_path: Path) -> None:
    table = ShardTable(tmp_path, Repair)
    table.write(0, [make_repair("a", 0)])
    pq.write_table(pq.read_table(table.path(0)).drop_columns(["protocol"]), table.path(0))
    with pytest.raises(DamagedFileError, match=r"dfgen\.repair/1 with other columns") as caught:
        table.num_rows(0)
    assert "Another version of dfgen" in str(caught.value.hint)


def make_picture(colour: str) -> bytes:
    stream = io.BytesIO()
    PIL.Image.new("RGB", (6, 5), colour).save(stream, "PNG")
    return stream.getvalue()


LOADER = """
import sys, warnings
import datasets
files, cache = sys.argv[1:]
for streaming in (False, True):
    rows = datasets.load_dataset(
        "parquet", data_files=files, split="train", cache_dir=cache, streaming=streaming
    )
    # All of them: a reader that is left in the middle has threads that may outlive the process.
    rows = list(rows)
    row = rows[0]
    assert type(row["images"][0]).__name__ == "PngImageFile", row
    assert [picture.size for picture in row["images"]] == [(6, 5)] * 2
    assert row["image_info"][0]["width"] == 8 and row["solution"] is None
    assert len(rows) == 3
"""


def test_datasets_shows_pictures(tmp_path: Path) -> None:
    table = ShardTable(tmp_path / "prompts", Prompt)
    rows = [make_prompt(name, make_picture("red")) for name in "abc"]
    for row in rows:
        row.images[1].bytes = make_picture("blue")
    table.write(0, rows[:2])
    table.write(1, rows[2:])
    command = [sys.executable, "-c", LOADER, str(tmp_path / "prompts" / "*.parquet")]
    subprocess.run([*command, str(tmp_path / "cache")], check=True, capture_output=True)
