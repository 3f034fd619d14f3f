from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfgen.errors import InputError
from dfgen.records import Prompt
from tests.prompts.source_files import prompts, read, rejects
from tests.support import pictures

PNG = [pictures.make_png(number) for number in range(4)]


def write(path: Path, columns: dict[str, Any], **options: Any) -> str:
    pq.write_table(pa.table(columns), path, **options)
    return str(path)


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([{"bytes": PNG[0], "path": "a.png"}, {"bytes": PNG[1], "path": None}]),
        pa.array([[{"bytes": PNG[0], "path": "a.png"}], [{"bytes": PNG[1], "path": None}]]),
        pa.array([PNG[0], PNG[1]], pa.large_binary()),
        pa.array([[PNG[0]], [PNG[1]]]),
        pa.array(["0.png", "1.png"]),
        pa.array([{"bytes": None, "path": "0.png"}, {"bytes": None, "path": "1.png"}]),
    ],
)
def test_picture_columns(tmp_path: Path, cells: pa.Array) -> None:
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(PNG[number])
    path = write(
        tmp_path / "a.parquet", {"question": ["a", "b"], "answer": ["1", "2"], "image": cells}
    )
    found = prompts(path=path)
    assert [prompt.images[0].bytes for prompt in found] == PNG[:2]
    assert [prompt.source for prompt in found] == ["a.parquet:0", "a.parquet:1"]
    assert [(info.width, info.height) for p in found for info in p.image_info] == [(12, 8)] * 2


def test_verl_style(tmp_path: Path) -> None:
    path = write(
        tmp_path / "geo.parquet",
        {
            "data_source": ["geo3k"],
            "prompt": [[{"content": "<image>Find x.", "role": "user"}]],
            "images": [[{"bytes": PNG[0], "path": None}]],
            "reward_model": [{"ground_truth": "4.5", "style": "rule"}],
            "extra_info": [{"index": 3, "split": "train"}],
        },
    )
    columns = {
        "question": "prompt",
        "answer": "reward_model.ground_truth",
        "metadata": ["data_source", "extra_info", "extra_info.index"],
    }
    (prompt,) = prompts(path=path, columns=columns, answer_type="math")
    assert (prompt.question, prompt.answer, prompt.answer_type) == ("Find x.", "4.5", "math")
    assert json.loads(prompt.metadata) == {
        "data_source": "geo3k",
        "extra_info": {"index": 3, "split": "train"},
        "extra_info.index": 3,
    }


def test_folder_glob_and_list(tmp_path: Path) -> None:
    for name in ("b", "a", "sub/c", ".cache/d", "_tmp/e"):
        path = tmp_path / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        write(path, {"question": [name], "answer": [1]})

    def questions(path: Any) -> list[str]:
        return [prompt.question for prompt in prompts(path=path)]

    assert questions(str(tmp_path)) == ["a", "b", "sub/c"]
    assert questions(str(tmp_path / "*.parquet")) == ["a", "b"]
    assert questions([str(tmp_path / "b.parquet"), str(tmp_path)]) == ["b", "a", "sub/c"]
    assert prompts(path=str(tmp_path))[2].source == "sub/c.parquet:0"


def test_only_named_columns_are_read(tmp_path: Path) -> None:
    # A date that Python has no value for would stop the reading if its column were read.
    far = pa.array([10**15], pa.timestamp("s"))
    path = write(tmp_path / "a.parquet", {"question": ["a"], "answer": [1], "far": far})
    assert len(prompts(path=path)) == 1
    (reject,) = rejects(path=path, columns={"metadata": ["far"]})
    assert (reject.reason, reject.row_id) == ("row_unreadable", "a.parquet:0")


def test_one_bad_cell_costs_one_row(tmp_path: Path) -> None:
    text = pa.array([b"good", b"\xff\xfe", b"fine"]).view(pa.binary()).cast(pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 3, text.buffers())
    path = write(tmp_path / "a.parquet", {"question": broken, "answer": [1, 2, 3]})
    rows = read(path=path)
    assert [isinstance(row, Prompt) for row in rows] == [True, False, True]


def test_maps_are_objects(tmp_path: Path) -> None:
    kind = pa.map_(pa.string(), pa.string())
    cells = pa.array([[("A", "x"), ("B", "y")], [("A", "x"), ("A", "y")]], kind)
    path = write(tmp_path / "a.parquet", {"question": ["a"] * 2, "answer": ["A"] * 2, "o": cells})
    rows = read(path=path, columns={"choices": "o"})
    assert rows[0].choices == ["x", "y"]  # type: ignore[union-attr]
    assert rows[1].reason == "row_unreadable"  # type: ignore[union-attr]


def test_many_row_groups_keep_their_order(tmp_path: Path) -> None:
    count = 500
    columns = {"question": [f"q{n}" for n in range(count)], "answer": list(range(count))}
    path = write(tmp_path / "a.parquet", columns, row_group_size=7)
    found = prompts(path=path)
    assert [prompt.answer for prompt in found] == [str(n) for n in range(count)]
    assert found[99].source == "a.parquet:99"
    assert found == prompts(path=path)


def test_missing_column_names_the_file(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"question": ["a"], "answer": [{"text": "1"}]})
    write(tmp_path / "b.parquet", {"question": ["a"], "Answer": [{"text": "1"}]})
    with pytest.raises(InputError) as caught:
        read(path=str(tmp_path), columns={"answer": "answer.text"})
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/b.parquet: there is no column 'answer.text'")
    assert "Answer, Answer.text, question. Did you mean 'Answer.text'?" in message


def test_files_that_are_not_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 no table PAR1")
    with pytest.raises(InputError, match=r"a\.parquet: the file cannot be read"):
        read(path=str(path))
    whole = Path(write(path, {"question": ["a" * 50] * 99, "answer": [1] * 99}))
    data = bytearray(whole.read_bytes())
    data[4:60] = b"\xff" * 56
    whole.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.parquet:0: the file cannot be read"):
        read(path=str(path))
