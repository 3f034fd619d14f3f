from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfgen.config.imports import ImportConfig
from dfgen.errors import InputError
from dfgen.prompts.importing import ImportedResponse, describe_trajectories, read_trajectories
from dfgen.records import Prompt, Reject
from tests.prompts.source_files import write_lines
from tests.support import pictures

Group = tuple[Prompt, list[ImportedResponse]]


def read(**settings: Any) -> tuple[list[Group], list[Reject]]:
    rows = list(read_trajectories(ImportConfig(tokenizer="any", **settings)))
    groups = [row for row in rows if isinstance(row, tuple)]
    return groups, [row for row in rows if isinstance(row, Reject)]


def make_rows(folder: Path) -> list[dict[str, Any]]:
    rows = []
    for model in ("small", "large"):
        for number in range(3):
            (folder / f"{number}.png").write_bytes(pictures.make_png(number))
            rows.append(
                {
                    "id": f"{model}/{number}",
                    "question": f"What is {number}?\n<image1>",
                    "options": ["x", "y"],
                    "image": f"{number}.png",
                    "gold": "A",
                    "response": f"  {model} says A \n",
                    "model": model,
                    "correct": number == 0,
                    "level": number,
                    "finish": "length" if number else None,
                }
            )
    return rows


COLUMNS = {
    "answer": "gold",
    "choices": "options",
    "model": "model",
    "id": "id",
    "finish_reason": "finish",
    "metadata": ["level"],
    "response_metadata": ["correct"],
}


def check(groups: list[Group]) -> None:
    assert [prompt.question for prompt, _ in groups] == [f"What is {n}?" for n in range(3)]
    assert len({prompt.prompt_id for prompt, _ in groups}) == 3
    prompt, responses = groups[1]
    assert prompt.images[0].bytes == pictures.make_png(1)
    assert prompt.image_info[0].format == "PNG"
    assert json.loads(prompt.metadata) == {"level": 1}
    assert [response.model for response in responses] == ["small", "large"]
    assert responses[1].text == "  large says A \n"
    assert responses[1].row_id == "large/1"
    assert responses[1].metadata == {"correct": False}
    assert [response.finish_reason for response in responses] == ["length", "length"]
    assert groups[0][1][0].finish_reason == "unknown"


def test_rows_of_one_prompt_are_grouped(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", make_rows(tmp_path))
    groups, bad = read(path=str(file), columns=COLUMNS)
    check(groups)
    assert not bad
    assert groups[1][0].source == "a.jsonl:2"
    assert groups[1][1][1].source == "a.jsonl:5"


def test_parquet_gives_the_same(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(make_rows(tmp_path)), tmp_path / "a.parquet")
    groups, bad = read(source="parquet", path=str(tmp_path / "a.parquet"), columns=COLUMNS)
    check(groups)
    assert not bad


def test_ids_are_those_of_read_prompts(tmp_path: Path) -> None:
    from tests.prompts.source_files import prompts

    file = write_lines(tmp_path / "a.jsonl", make_rows(tmp_path)[:3])
    groups, _ = read(path=str(file), columns=COLUMNS)
    columns = {"answer": "gold", "choices": "options", "metadata": ["level"]}
    assert [prompt for prompt, _ in groups] == prompts(
        source="jsonl", path=str(file), columns=columns
    )


@pytest.mark.parametrize(
    ("cell", "texts"),
    [
        ("one", ["one"]),
        (["one", "two"], ["one", "two"]),
        ([{"role": "assistant", "content": "one"}], ["one"]),
        ([{"role": "user", "content": "q"}, {"role": "assistant", "content": "one"}], ["one"]),
        ([{"from": "human", "value": "q"}, {"from": "gpt", "value": "one"}], ["one"]),
        ("", "response_missing"),
        (" \n", "response_missing"),
        (None, "response_missing"),
        ([], "response_missing"),
        (["one", ""], "response_missing"),
        (5, "response_invalid"),
        ([5], "response_invalid"),
        ([{"role": "assistant", "content": "a"}] * 2, "response_invalid"),
    ],
)
def test_responses(tmp_path: Path, cell: Any, texts: list[str] | str) -> None:
    rows = [{"question": "q", "answer": 1, "response": cell}]
    groups, bad = read(path=str(write_lines(tmp_path / "a.jsonl", rows)), model="m")
    if isinstance(texts, str):
        assert [(reject.reason, reject.row_id) for reject in bad] == [(texts, "a.jsonl:1")]
        assert not groups
    else:
        assert [response.text for response in groups[0][1]] == texts
        assert {response.model for response in groups[0][1]} == {"m"}


def test_every_row_is_accounted_for(tmp_path: Path) -> None:
    rows: list[Any] = make_rows(tmp_path)
    rows[1]["gold"] = None
    rows[4]["image"] = "nowhere.png"
    file = write_lines(tmp_path / "a.jsonl", rows)
    file.write_text(file.read_text() + "{broken\n")
    groups, bad = read(path=str(file), columns=COLUMNS)
    assert [reject.reason for reject in bad] == [
        "answer_missing",
        "image_missing",
        "row_unreadable",
    ]
    assert sum(len(responses) for _, responses in groups) + len(bad) == 7


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [{"question": "q", "answer": 1, "respons": "x"}])
    with pytest.raises(InputError, match=r"'response' \(columns\.response\).*\n.*mean 'respons'"):
        read(path=str(file))


def test_describe(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [{}])
    described = describe_trajectories(ImportConfig(path=str(file), tokenizer="any"))
    assert described["files"][0]["file"] == "a.jsonl"
