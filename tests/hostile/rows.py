"""Rows that stop a reader which trusts them."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.hostile.case import GOOD, Case, read_rows

COLUMNS = {
    "metadata": ["meta"],
    "choices": "options",
    "precision": "digits",
    "solution": "solution",
}
EVERY = {"question": "q", "answer": "1", "meta": 1, "options": None, "digits": 1, "solution": ""}


def nest(levels: int, kind: str = "list") -> Any:
    """Lists or objects inside each other."""
    value: Any = 1
    for _ in range(levels):
        value = [value] if kind == "list" else {"a": value}
    return value


def write(**cells: Any) -> str:
    """A line of JSON with these cells beside good ones."""
    return json.dumps({**GOOD, **cells})


DEEP = "[" * 100_000 + "]" * 100_000
LINES: dict[str, tuple[str, str]] = {
    "JSON 100,000 deep": ('{"question": ' + DEEP + "}", "row_unreadable"),
    "objects 950 deep": ('{"question": ' + '{"a":' * 950 + "1" + "}" * 951, r"\w+"),
    "metadata of lists, 600 deep": (write(meta=nest(600)), "row_unreadable"),
    "metadata of objects, 600 deep": (write(meta=nest(600, "dict")), "row_unreadable"),
    "metadata 65 deep": (write(meta=nest(65)), "row_unreadable"),
    "choices: brackets without end": (write(options="[" * 5000), "choices_invalid"),
    "choices: 50,000 signs": (write(options="[" + "-" * 50_000 + "1]"), "choices_invalid"),
    "choices: brackets for Python's parser": (
        write(options="[(" * 90 + ")]" * 90),
        "choices_invalid",
    ),
    "choices: 200,000 in a text": (write(options="[" + "1," * 200_000 + "]"), "choices_invalid"),
    "choices that run": (write(options="[__import__('os').system('true')]"), "choices_invalid"),
    "picture list 100,000 deep": (write(images=DEEP), "image_missing"),
    "a number of 5,000 digits": (
        '{"question": "q", "answer": ' + "9" * 5000 + "}",
        "row_unreadable",
    ),
    "a placeholder number of 5,000 digits": (
        write(question=f"<image{'9' * 5000}> q"),
        "image_missing|row_unreadable",
    ),
    "100,000 placeholders": (write(question="q <image1> " * 100_000), "image_missing"),
    "infinite precision": (write(digits="1e999"), "precision_invalid"),
    "half a surrogate pair": ('{"question": "\\ud800", "answer": "3"}', "row_unreadable"),
    "not UTF-8": ('{"question": "\udcff", "answer": "3"}', "row_unreadable"),
    "NUL in the line": ('{"question": "a\0b", "answer": "3"}', "row_unreadable"),
    "a list, not an object": ('"question"', "row_unreadable"),
    "picture name with NUL": (write(images="a\0b.png"), "image_missing"),
    "picture name of 10 kB": (write(images="x" * 10_000), "image_missing"),
    "picture name of two lines": (write(images="a\nb.png"), "image_missing"),
    "picture name written backwards": (write(images="\u202egnp.a"), "image_missing"),
    "picture: a number of 400 digits": (write(images=10**400), "image_missing"),
    "picture: an object in an object": (write(images={"path": {"path": "a"}}), "image_missing"),
    "picture: 17 of them": (write(images=["a.png"] * 17), "image_too_many"),
    "base64 and 400,000 blanks": (
        write(images="iVBORw0KGgo" + " " * 400_000 + "!"),
        "image_missing",
    ),
    "chat of 100,000 blocks": (
        write(
            question=[{"role": "user", "content": [{"type": "text", "text": "a"}] * 100_000}] * 2
        ),
        "question_invalid",
    ),
    "chat with lists for roles": (write(question=[{"role": ["user"]}]), r"question_\w+"),
    "solution of objects": (write(solution={}), "solution_invalid"),
}


def attack_line(folder: Path, line: str) -> str:
    """Read the line, a good one, and one that has every column."""
    file = folder / "rows.jsonl"
    lines = (line, json.dumps(GOOD), json.dumps(EVERY))
    file.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    return read_rows(source="jsonl", path=str(file), columns=COLUMNS)


def attack_table(folder: Path, source: str, kind: str) -> str:
    """Read a Parquet file with one odd column as metadata, and one bad text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"question": pa.array(["q", "r"]), "answer": pa.array(["1", "2"])}
    table = {
        "broken text": pa.Array.from_buffers(
            pa.string(), 2, pa.array([b"\xff", b"a"], pa.binary()).buffers()
        ),
        "a date of the year 5,000,000": pa.array([2**30, 0], pa.int32()).view(pa.date32()),
        "a timestamp beyond all": pa.array([2**62, 0], pa.int64()).view(pa.timestamp("us")),
        "a duration": pa.array([2**62, 0], pa.duration("us")),
        "a map with a key twice": pa.array(
            [[("a", 1), ("a", 2)], []], pa.map_(pa.string(), pa.int64())
        ),
        "decimals of 76 digits": pa.array([Decimal("9" * 76), None], pa.decimal256(76, 0)),
        "bytes": pa.array([b"\xff\0", None]),
        "times": pa.array([datetime.time(1), None]),
        "lists 40 deep": pa.array([nest(40), None], make_list_type(40)),
        "not a number": pa.array([float("nan"), float("-inf")]),
    }[kind]
    pq.write_table(pa.table({**columns, "meta": table}), folder / "rows.parquet")
    path = folder if source == "datasets" else folder / "rows.parquet"
    return read_rows(source=source, path=str(path), columns={"metadata": ["meta"]})


def make_list_type(levels: int) -> Any:
    """The Arrow type of lists inside each other."""
    import pyarrow as pa

    kind = pa.int64()
    for _ in range(levels):
        kind = pa.list_(kind)
    return kind


TABLES = {
    "broken text": "rejects row_unreadable; 1 prompts",
    "a date of the year 5,000,000": "rejects row_unreadable; 1 prompts",
    "a timestamp beyond all": "rejects row_unreadable; 1 prompts",
    "a duration": "read 2 prompts",
    "a map with a key twice": "rejects row_unreadable; 1 prompts",
    "decimals of 76 digits": "read 2 prompts",
    "bytes": "read 2 prompts",
    "times": "read 2 prompts",
    "lists 40 deep": "read 2 prompts",
    "not a number": "read 2 prompts",
}
STREAMED = ("broken text", "a date of the year 5,000,000", "a timestamp beyond all", "bytes")
CSV = {
    "a quote without end": ('q,"1\n', r"(rejects|error|read) .*"),
    "cells that are missing": ("q\nr,2\n", "rejects row_unreadable; 1 prompts"),
    "a cell of 200,000 characters": ("q," + "x" * 200_000 + "\nr,2\n", r"(rejects|read) .*"),
    "not UTF-8": ("q\udcff,1\nr,2\n", "rejects row_unreadable; 1 prompts"),
    "NUL": ("q\0,1\nr,2\n", r"(rejects|read) .*"),
}


def attack_csv(folder: Path, text: str) -> str:
    """Read a folder whose metadata is this CSV."""
    content = f"question,answer\n{text}".encode("utf-8", "surrogateescape")
    (folder / "metadata.csv").write_bytes(content)
    return read_rows(source="folder", path=str(folder))


def list_cases() -> list[Case]:
    """List them."""
    found = [
        Case(
            "rows",
            name,
            lambda folder, line=line: attack_line(folder, line),
            f"rejects (?:{reason}); 2 prompts",
        )
        for name, (line, reason) in LINES.items()
    ]
    for source, kinds in (("parquet", tuple(TABLES)), ("datasets", STREAMED)):
        found += [
            Case(
                "rows",
                f"{source}: {kind}",
                lambda folder, s=source, k=kind: attack_table(folder, s, k),
                TABLES[kind],
            )
            for kind in kinds
        ]
    found += [
        Case("rows", f"CSV: {name}", lambda folder, t=text: attack_csv(folder, t), expected)
        for name, (text, expected) in CSV.items()
    ]
    return found
