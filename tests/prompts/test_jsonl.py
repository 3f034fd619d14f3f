from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest

from dfgen.errors import InputError
from tests.prompts.source_files import prompts, read, rejects, write_lines
from tests.support import pictures


def test_every_way_to_write_a_picture(tmp_path: Path) -> None:
    data = [pictures.make_png(number) for number in range(6)]
    text = [base64.b64encode(item).decode() for item in data]
    folder = tmp_path / "in"
    (folder / "img").mkdir(parents=True)
    (folder / "img" / "a b.png").write_bytes(data[0])
    (tmp_path / "far.png").write_bytes(data[5])
    cells = [
        "img/a b.png",
        f"data:image/png;base64,{text[1]}",
        {"bytes": text[2], "path": "c.png"},
        text[3],
        ["img/a b.png", {"bytes": text[4]}],
        str(tmp_path / "far.png"),
        f"file://{tmp_path}/far.png",
        {"bytes": None, "path": "img/a b.png"},
        [],
    ]
    rows = [{"question": f"q{n}", "images": cell, "answer": n} for n, cell in enumerate(cells)]
    file = write_lines(folder / "rows.jsonl", rows)
    found = prompts(source="jsonl", path=str(file), images={"min_per_prompt": 0})
    assert [[image.bytes for image in prompt.images] for prompt in found] == [
        [data[0]], [data[1]], [data[2]], [data[3]], [data[0], data[4]], [data[5]], [data[5]],
        [data[0]], [],
    ]  # fmt: skip
    assert [image.path for prompt in found for image in prompt.images] == [
        "img/a b.png", None, "c.png", None, "img/a b.png", None, "far.png", "far.png",
        "img/a b.png",
    ]  # fmt: skip
    assert [prompt.source for prompt in found] == [f"rows.jsonl:{n}" for n in range(1, 10)]


def test_image_root_and_several_picture_columns(tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    for number in range(2):
        (tmp_path / "pics" / f"{number}.png").write_bytes(pictures.make_png(number))
    rows = [
        {"question": "a", "answer": 1, "image_1": "0.png", "image_2": "1.png"},
        {"question": "b", "answer": 1, "image_1": "0.png", "image_2": None},
    ]
    file = write_lines(tmp_path / "rows.jsonl", rows)
    found = prompts(
        source="jsonl",
        path=str(file),
        image_root=str(tmp_path / "pics"),
        columns={"images": ["image_1", "image_2"]},
    )
    assert [len(prompt.images) for prompt in found] == [2, 1]


def test_which_column_holds_the_pictures(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(pictures.make_png(number))
    rows = [
        {"question": "a", "answer": 1, "image": "0.png", "images": ["0.png", "1.png"]},
        {"question": "b", "answer": 1, "image": "0.png", "images": None},
        {"question": "c", "answer": 1, "image": "0.png"},
        {"question": "d", "answer": 1},
        {"question": "e", "answer": 1, "image": None, "images": None},
    ]
    file = write_lines(tmp_path / "rows.jsonl", rows)
    found = read(source="jsonl", path=str(file))  # a question without a picture is fine
    assert [len(row.images) for row in found] == [2, 1, 1, 0, 0]  # type: ignore[union-attr]
    found = read(source="jsonl", path=str(file), images={"min_per_prompt": 1})
    assert [len(row.images) for row in found[:4]] == [2, 1, 1, 0]  # type: ignore[union-attr]
    assert found[4].reason == "image_missing"  # type: ignore[union-attr]
    found = read(source="jsonl", path=str(file), columns={"images": []})
    assert [len(row.images) for row in found] == [0] * 5  # type: ignore[union-attr]


def test_a_picture_in_another_field_is_told_how_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(pictures.make_png(0))
    rows = [{"question": "a", "answer": 1, "image": {"width": 3, "file": "a.png"}}]
    file = write_lines(tmp_path / "rows.jsonl", rows)
    [found] = read(source="jsonl", path=str(file))
    assert found.detail.endswith("where the column is no list: image.file")  # type: ignore[union-attr]
    [found] = read(source="jsonl", path=str(file), columns={"images": "image.file"})
    assert len(found.images) == 1  # type: ignore[union-attr]


def test_gzip_gives_the_same_prompts(tmp_path: Path) -> None:
    plain = write_lines(tmp_path / "a.jsonl", [{"question": "q", "answer": "1"}])
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    one, other = (prompts(source="jsonl", path=str(path))[0] for path in (plain, packed))
    assert one.prompt_id == other.prompt_id
    assert other.source == "a.jsonl.gz:1"


def test_bad_lines_are_rejects_with_their_number(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    lines = [
        b'\xef\xbb\xbf{"question": "a", "answer": 1}',
        b"",
        b'{"question": "b", "answer": ',
        b"[1, 2]",
        b'{"question": "\xff", "answer": 1}',
        b'{"question": "\\ud800", "answer": 1}',
        b'{"question": "\\ud83d\\ude00", "answer": 1}',
        b"[" * 100_000,
        b'{"question": "c", "answer": ' + b"9" * 5000 + b"}",
    ]
    file.write_bytes(b"\n".join(lines))
    rows = read(source="jsonl", path=str(file))
    assert len(rows) == 8
    bad = rejects(source="jsonl", path=str(file))
    assert [reject.row_id for reject in bad] == [f"rows.jsonl:{n}" for n in (3, 4, 5, 6, 8, 9)]
    assert {reject.reason for reject in bad} == {"row_unreadable"}


def test_columns_may_come_late_but_must_come(tmp_path: Path) -> None:
    rows = [{"question": "a", "answer": 1}, {"question": "b", "answer": "x", "options": ["x", "y"]}]
    file = write_lines(tmp_path / "rows.jsonl", rows)
    found = prompts(source="jsonl", path=str(file), columns={"choices": "options"})
    assert [prompt.choices for prompt in found] == [[], ["x", "y"]]
    with pytest.raises(InputError) as caught:
        read(source="jsonl", path=str(file), columns={"choices": "option"})
    assert "no column 'option' (columns.choices)" in str(caught.value)
    assert "question, answer, options. Did you mean 'options'?" in str(caught.value)


def test_dotted_names(tmp_path: Path) -> None:
    rows = [
        {"prompt": {"text": "a"}, "reward_model": {"ground_truth": 7}, "x.y": 1, "x": {"y": 2}},
        {"prompt": {"text": "b"}, "reward_model": None},
        {"prompt": "c", "reward_model": {"ground_truth": 7}},
    ]
    file = write_lines(tmp_path / "rows.jsonl", rows)
    columns = {
        "question": "prompt.text",
        "answer": "reward_model.ground_truth",
        "metadata": ["x.y"],
    }
    found = read(source="jsonl", path=str(file), columns=columns)
    assert found[0].answer == "7"  # type: ignore[union-attr]
    assert json.loads(found[0].metadata) == {"x.y": 1}  # type: ignore[union-attr]
    assert [row.reason for row in found[1:]] == ["answer_missing", "question_missing"]  # type: ignore[union-attr]


def test_a_json_array_is_explained(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('[\n  {"question": "a"}\n]\n')
    with pytest.raises(InputError, match=r"jq -c"):
        read(source="jsonl", path=str(file))


def test_a_cut_gzip_file_is_an_input_error(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl.gz"
    lines = "".join(
        json.dumps({"question": f"{n} {n * 7919}", "answer": n}) + "\n" for n in range(5000)
    )
    file.write_bytes(gzip.compress(lines.encode())[:-2000])
    with pytest.raises(InputError, match=r"rows\.jsonl\.gz:\d+: the file cannot be read"):
        read(source="jsonl", path=str(file))
