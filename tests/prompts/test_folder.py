from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.errors import InputError
from tests.prompts.source_files import prompts, read, write_lines
from tests.support import pictures

PNG = [pictures.make_png(number) for number in range(3)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, data in enumerate(PNG):
        (tmp_path / f"{number}.png").write_bytes(data)
    return tmp_path


def test_jsonl(folder: Path) -> None:
    rows = [
        {"file_name": "0.png", "question": "a", "answer": 1},
        {"file_names": ["1.png", "2.png"], "question": "b", "answer": 2},
    ]
    write_lines(folder / "metadata.jsonl", rows)
    found = prompts(source="folder", path=str(folder))
    assert [[image.bytes for image in prompt.images] for prompt in found] == [[PNG[0]], PNG[1:]]
    assert found[1].source == "metadata.jsonl:2"


def test_csv(folder: Path) -> None:
    lines = [
        "file_name,question,answer,options",
        '0.png,"one, two\nor three?",B,"[""one"", ""two""]"',
        "",
        "1.png,ä,,",
        "1.png,too,many,cells,here",
        ',"no picture",1,',
        "2.png,good,1,",
        "2.png,\udcff,1,",
    ]
    data = "\r\n".join(lines).encode("utf-8-sig", "surrogateescape")
    (folder / "metadata.csv").write_bytes(data)
    limits = {"min_per_prompt": 1}
    rows = read(source="folder", path=str(folder), columns={"choices": "options"}, images=limits)
    assert rows[0].question == "one, two\nor three?"  # type: ignore[union-attr]
    assert rows[0].choices == ["one", "two"]  # type: ignore[union-attr]
    assert rows[0].source == "metadata.csv:2"  # type: ignore[union-attr]
    assert [getattr(row, "reason", "fine") for row in rows] == [
        "fine",
        "answer_missing",
        "row_unreadable",
        "image_missing",
        "fine",
        "row_unreadable",
    ]
    assert rows[2].row_id == "metadata.csv:6"  # type: ignore[union-attr]


def test_csv_with_several_files_per_row(folder: Path) -> None:
    (folder / "metadata.csv").write_text(
        'file_names,question,answer\n"[""0.png"", ""2.png""]",a,1\n'
    )
    (prompt,) = prompts(source="folder", path=str(folder))
    assert [image.bytes for image in prompt.images] == [PNG[0], PNG[2]]


def test_missing_metadata_is_explained(folder: Path) -> None:
    with pytest.raises(InputError, match=r"no metadata\.jsonl or metadata\.csv"):
        read(source="folder", path=str(folder))
    (folder / "train").mkdir()
    write_lines(folder / "train" / "metadata.jsonl", [])
    with pytest.raises(InputError, match=rf"one of the folders that have one: {folder}/train"):
        read(source="folder", path=str(folder))
    write_lines(folder / "metadata.jsonl", [])
    (folder / "metadata.csv").write_text("")
    with pytest.raises(InputError, match="both"):
        read(source="folder", path=str(folder))
    with pytest.raises(InputError, match="no such folder"):
        read(source="folder", path=str(folder / "0.png"))


def test_missing_column(folder: Path) -> None:
    (folder / "metadata.csv").write_text("file_name,text\n0.png,a\n")
    with pytest.raises(
        InputError,
        match=r"no columns 'question' \(columns.question\), 'answer'.*\n.*file_name, text",
    ):
        read(source="folder", path=str(folder))
