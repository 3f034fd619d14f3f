from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dfgen.config.prompts import PromptsConfig
from dfgen.errors import ConfigError, InputError
from dfgen.prompts.reading import describe_source, read_prompts
from dfgen.records import Prompt, Reject
from tests.prompts.source_files import prompts, read, rejects, write_lines
from tests.support import pictures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.png").write_bytes(pictures.make_png())
    (tmp_path / "cut.jpg").write_bytes(pictures.make_truncated_jpeg())
    (tmp_path / "bomb.png").write_bytes(pictures.make_bomb_png())
    (tmp_path / "empty.png").write_bytes(b"")
    return tmp_path


BAD_ROWS: list[tuple[dict[str, Any], str]] = [
    ({"question": None}, "question_missing"),
    ({"question": "<image>"}, "question_missing"),
    ({"question": 5}, "question_invalid"),
    ({"answer": ""}, "answer_missing"),
    ({"answer": {"value": 1}}, "answer_invalid"),
    ({"solution": {"value": 1}}, "solution_invalid"),
    ({"options": "a or b"}, "choices_invalid"),
    ({"images": None}, "image_missing"),
    ({"images": []}, "image_missing"),
    ({"images": ["good.png", None]}, "image_missing"),
    ({"images": 7}, "image_missing"),
    ({"images": {"bytes": None, "path": None}}, "image_missing"),
    ({"images": "nowhere.png"}, "image_missing"),
    ({"images": "."}, "image_missing"),
    ({"images": "a\0b"}, "image_missing"),
    ({"images": "empty.png"}, "image_missing"),
    ({"images": {"bytes": ""}}, "image_missing"),
    ({"images": "cut.jpg"}, "image_corrupt"),
    ({"images": {"bytes": "no base64!"}}, "image_corrupt"),
    ({"images": "data:image/png;base64,iVBORw"}, "image_corrupt"),
    ({"images": "data:image/png"}, "image_corrupt"),
    ({"images": "bomb.png"}, "image_too_large"),
    ({"images": ["good.png"] * 5}, "image_too_many"),
    ({"images": "https://example.com/a.png"}, "image_remote"),
    ({"images": "s3://bucket/a.png"}, "image_remote"),
]


@pytest.mark.parametrize(("change", "reason"), BAD_ROWS)
def test_bad_rows_are_rejects(folder: Path, change: dict[str, Any], reason: str) -> None:
    good = {"question": "q", "answer": 1, "images": "good.png", "options": None, "solution": None}
    file = write_lines(folder / "rows.jsonl", [{**good, **change}, good])
    rows = read(
        source="jsonl",
        path=str(file),
        columns={"choices": "options", "solution": "solution"},
        images={"max_per_prompt": 4, "min_per_prompt": 1},
    )
    assert isinstance(rows[0], Reject)
    assert (rows[0].stage, rows[0].reason, rows[0].row_id) == ("prompts", reason, "rows.jsonl:1")
    assert isinstance(json.loads(rows[0].evidence), dict)
    assert str(folder) not in rows[0].detail
    assert isinstance(rows[1], Prompt)


def test_picture_rejects_name_the_picture(folder: Path) -> None:
    rows = [{"question": "q", "answer": 1, "images": ["good.png", "cut.jpg"]}]
    file = write_lines(folder / "rows.jsonl", rows)
    (reject,) = rejects(source="jsonl", path=str(file))
    assert reject.detail.startswith("picture 2 (cut.jpg): ")
    assert json.loads(reject.evidence) == {"image": 2, "path": "cut.jpg"}


def test_too_large_is_known_before_reading(folder: Path) -> None:
    data = "A" * 400
    rows = [
        {"question": "a", "answer": 1, "images": {"bytes": data}},
        {"question": "b", "answer": 1, "images": "good.png"},
    ]
    file = write_lines(folder / "rows.jsonl", rows)
    found = rejects(source="jsonl", path=str(file), images={"max_bytes": 20})
    assert [reject.reason for reject in found] == ["image_too_large"] * 2


def test_text_only_rows(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [{"question": "2 + 2?", "answer": 4}])
    (prompt,) = prompts(source="jsonl", path=str(file))
    assert (prompt.images, prompt.image_info) == ([], [])
    # A placeholder without any picture column: the column has another name.
    rows = [{"question": "<image>How many?", "answer": 4, "picture": "a.png"}]
    file = write_lines(tmp_path / "b.jsonl", rows)
    (reject,) = rejects(source="jsonl", path=str(file))
    assert reject.reason == "image_missing"
    assert "columns.images" in reject.detail


def test_pictures_inside_a_chat(folder: Path) -> None:
    blocks = [
        {"type": "image", "image": "good.png"},
        {"type": "text", "text": "What is it?"},
    ]
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": blocks}]
    file = write_lines(folder / "a.jsonl", [{"question": chat, "answer": "red"}])
    (prompt,) = prompts(source="jsonl", path=str(file))
    assert prompt.question == "What is it?"
    assert prompt.images[0].bytes == pictures.make_png()


def test_duplicates_name_the_first_row(folder: Path) -> None:
    row = {"question": "q", "answer": 1, "images": "good.png"}
    same = {"question": " q\n", "answer": 1.0, "images": ["good.png"]}
    rows = [{"question": "", "answer": 1}, row, {**row, "answer": 2}, same]
    file = write_lines(folder / "rows.jsonl", rows)
    found = read(source="jsonl", path=str(file))
    last = found[-1]
    assert isinstance(last, Reject)
    assert isinstance(found[1], Prompt)
    assert last.reason == "duplicate"
    assert last.prompt_id == found[1].prompt_id
    assert json.loads(last.evidence) == {"first_row": "rows.jsonl:2"}
    with pytest.raises(
        InputError, match=r"1 row asks(.|\n)*rows\.jsonl:4 is equal to rows\.jsonl:2"
    ):
        read(source="jsonl", path=str(file), on_duplicate="error")


def test_all_duplicates_are_named_of_a_bounded_number(folder: Path) -> None:
    row = {"question": "q", "answer": 1, "images": "good.png"}
    file = write_lines(folder / "rows.jsonl", [row] * 14 + [{**row, "answer": 2}])
    with pytest.raises(InputError) as caught:
        read(source="jsonl", path=str(file), on_duplicate="error")
    said = str(caught.value)
    assert "13 rows ask what an earlier one does" in said and "and 3 more" in said
    assert [f"rows.jsonl:{n} is equal to rows.jsonl:1" in said for n in range(1, 14)] == [
        1 < n < 12 for n in range(1, 14)
    ]


def test_the_same_picture_is_decoded_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dfgen.prompts import image_cells as module

    calls = []
    verify = module.verify_image
    monkeypatch.setattr(module, "verify_image", lambda *args: (calls.append(1), verify(*args))[1])
    rows = [
        {"question": str(n), "answer": 1, "images": name}
        for n, name in enumerate(["good.png", "cut.jpg"] * 10)
    ]
    file = write_lines(folder / "rows.jsonl", rows)
    found = read(source="jsonl", path=str(file))
    assert sum(isinstance(row, Prompt) for row in found) == 10
    assert len(calls) == 2


def test_answer_types(tmp_path: Path) -> None:
    rows = [
        {"question": "a", "answer": 1, "kind": "math"},
        {"question": "b", "answer": 1},
        {"question": "c", "answer": 1, "kind": "my.graders:grade"},
    ]
    file = write_lines(tmp_path / "a.jsonl", rows)
    settings = {"source": "jsonl", "path": str(file), "columns": {"answer_type": "kind"}}
    assert [p.answer_type for p in prompts(**settings)] == ["math", "auto", "my.graders:grade"]
    with pytest.raises(ConfigError, match=r"answer_type: there is no answer type 'maths'"):
        read(**settings, answer_type="maths")
    write_lines(file, [{**rows[0], "kind": "sum"}])
    with pytest.raises(ConfigError, match=r"a\.jsonl:1, column kind: .*'sum'(.|\n)*numeric"):
        read(**settings)


def test_answer_positions(tmp_path: Path) -> None:
    rows = [
        {"question": "a", "answer": 1, "options": ["x", "y"]},
        {"question": "b", "answer": 2, "options": ["x", "y"]},
        {"question": "c", "answer": "7"},
    ]
    file = write_lines(tmp_path / "a.jsonl", rows)
    found = read(source="jsonl", path=str(file), columns={"choices": "options"}, answer_index=0)
    assert found[0].answer == "B"  # type: ignore[union-attr]
    assert found[1].reason == "choices_invalid"  # type: ignore[union-attr]
    assert found[2].answer == "7"  # type: ignore[union-attr]


def test_config_says_what_it_needs() -> None:
    with pytest.raises(ValidationError, match="needs a path"):
        PromptsConfig()
    with pytest.raises(ValidationError, match="takes one path"):
        PromptsConfig(source="datasets", path=["a", "b"])
    with pytest.raises(ValidationError, match="answer_index needs"):
        PromptsConfig(source="jsonl", path="a", answer_index=0)


def test_demo() -> None:
    config = PromptsConfig(source="demo", count=5, seed=3)
    rows = list(read_prompts(config))
    assert len(rows) == 5
    prompt = rows[0]
    assert isinstance(prompt, Prompt)
    metadata = json.loads(prompt.metadata)
    assert set(metadata) == {"demo_truth", "kind"}
    assert metadata["demo_truth"]["answer"] == prompt.answer
    assert prompt.answer_type in ("numeric", "text")
    assert prompt.image_info[0].width > 0
    assert prompt.source == "demo-seed-3:0"
    assert describe_source(config) == {"source": "demo", "count": 5, "seed": 3}


def test_limit_counts_source_rows(tmp_path: Path) -> None:
    rows = [{"question": "", "answer": 1}, *({"question": str(n), "answer": 1} for n in range(9))]
    file = write_lines(tmp_path / "a.jsonl", rows)
    assert len(read(source="jsonl", path=str(file), limit=3)) == 3


def test_opening_problems(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n\n")
    (tmp_path / "bare").mkdir()
    cases = [
        ("empty.jsonl", r"empty\.jsonl: the data set is empty"),
        ("emty.jsonl", r"no such file\.\nDid you mean .*empty\.jsonl"),
        ("no/such.jsonl", r"no such file\.\nThe folder .*no does not exist"),
        ("*.parquet", "no file matches"),
        ("bare", r"holds no \*\.jsonl or"),
    ]
    for name, message in cases:
        with pytest.raises(InputError, match=message):
            read(source="jsonl", path=str(tmp_path / name))
    with pytest.raises(InputError, match="no such file"):
        describe_source(PromptsConfig(source="jsonl", path=str(tmp_path / "no.jsonl")))


def test_nothing_is_opened_before_the_first_row() -> None:
    rows = read_prompts(PromptsConfig(source="jsonl", path="/no/such/file"))
    with pytest.raises(InputError):
        next(rows)


def test_describe_source(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_lines(tmp_path / f"{name}.jsonl", [{"question": name, "answer": 1}])
    described = describe_source(PromptsConfig(source="jsonl", path=str(tmp_path)))
    assert [file["file"] for file in described["files"]] == ["a.jsonl", "b.jsonl"]
    assert set(described["files"][0]) == {"file", "size", "mtime", "sha256"}
    json.dumps(described)


def test_huge_files_are_hashed_by_their_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dfgen.prompts import files

    monkeypatch.setattr(files, "_WHOLE", 100)
    monkeypatch.setattr(files, "_END", 10)
    (tmp_path / "a.jsonl").write_bytes(b"x" * 101)
    (described,) = files.describe_files([tmp_path / "a.jsonl"])
    assert described["sha256"] is None
    assert len(described["sha256_ends"]) == 64


def test_memory_stays_flat(tmp_path: Path) -> None:
    picture = {"bytes": "iVBORw0KGgo" + "A" * 2000}
    (tmp_path / "good.png").write_bytes(pictures.make_png())
    file = write_lines(
        tmp_path / "rows.jsonl",
        (
            {
                "question": f"question {number}",
                "answer": number,
                "images": picture if number % 10 == 0 else "good.png",
            }
            for number in range(20_000)
        ),
    )
    rows = read_prompts(PromptsConfig(source="jsonl", path=str(file)))
    for _ in range(500):  # imports and caches
        next(rows)
    tracemalloc.start()
    count = sum(1 for _ in rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 19_500
    assert peak < 4_000_000


def test_heavy_libraries_load_only_when_used() -> None:
    code = (
        "import sys, dfgen.prompts.reading, dfgen.prompts.importing, dfgen.prompts.image_check;"
        "heavy = {'pyarrow', 'datasets', 'PIL', 'numpy', 'torch', 'huggingface_hub'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
