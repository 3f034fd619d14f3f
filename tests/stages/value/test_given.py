"""`dfgen value --mask`: the user's own masks are compared as the controls are."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfgen.errors import InputError
from dfgen.stages.value.given import _iter_masks
from tests.stages.score.running import call, read

OPTIONS = ("--set", "value.draws=1", "--set", "value.controls=false", "--no-masks")


def write_masks(path: Path, rows: dict[str, list[Any]]) -> Path:
    table = pa.table({"trajectory_id": list(rows), "loss_mask": list(rows.values())})
    pq.write_table(table, path)
    return path


def test_a_given_mask_is_valued_like_any_other(root: Path, tmp_path: Path) -> None:
    masks = {key: row["loss_mask"] for key, row in read(root, "masks").items()}
    whole = {key: [1] * len(mask) for key, mask in masks.items()}
    some = dict(random.Random(1).sample(sorted(masks.items()), len(masks) // 2))
    told = json.loads(
        call(
            *("value", root, *OPTIONS, "--json"),
            *("--mask", f"same={root / 'masks'}"),
            *("--mask", f"all={write_masks(tmp_path / 'a b.parquet', whole)}"),
            *("--mask", f"some={write_masks(tmp_path / 'some.parquet', some)}"),
        ).stdout
    )["blame"]
    assert told["given_same"]["capture"] == told["dfgen"]["capture"]
    assert told["given_same"]["own_minus_this"]["estimate"] == 0
    # All tokens together hold all that was lost.
    assert told["given_all"]["capture"]["estimate"] == pytest.approx(1)
    assert told["given_all"]["density"] == 1
    values = read(root, "values")
    assert any(key in some for key in values) and any(key not in some for key in values)
    for key, row in values.items():
        named = {blame["mask"]: blame for blame in row["blame"]}
        assert ("given_some" in named) == (key in some)
        assert named["given_same"] == {**named["dfgen"], "mask": "given_same"}
        assert named["given_all"]["captured"] == pytest.approx(row["value_start"])


def test_other_ends_of_runs_are_drawn_on_from(root: Path, tmp_path: Path) -> None:
    halves = {
        key: [i < len(row["loss_mask"]) // 2 for i in range(len(row["loss_mask"]))]
        for key, row in read(root, "masks").items()
    }
    path = write_masks(tmp_path / "half.parquet", halves)
    plain, more = (
        json.loads(call("value", root, *OPTIONS, *mask, "--dry-run", "--json").stdout)["estimate"]
        for mask in ((), ("--mask", f"half={path}"))
    )
    assert more["prefixes"] > plain["prefixes"]
    call("value", root, *OPTIONS, "--mask", f"half={path}")
    for row in read(root, "values").values():
        places = {p["index"] for p in row["value_points"] if p["side"] == "wrong"}
        assert row["tokens"] // 2 in places


def test_a_mask_that_has_changed_is_refused(root: Path, tmp_path: Path) -> None:
    masks = {key: row["loss_mask"] for key, row in read(root, "masks").items()}
    path = write_masks(tmp_path / "mine.parquet", masks)
    call("value", root, *OPTIONS, "--mask", f"mine={path}")
    write_masks(path, {key: [1] * len(mask) for key, mask in masks.items()})
    result = call("value", root, *OPTIONS, "--mask", f"mine={path}", code=1)
    assert "masks" in result.output and "--redo value" in result.output


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda key, mask: (key, mask[:-1]), "completion_ids"),
        (lambda key, mask: (key, [0.5] * len(mask)), "no list of 0 and 1"),
        (lambda key, mask: (key, [None, *mask[1:]]), "no list of 0 and 1"),
        (lambda key, mask: (key, None), "no list of 0 and 1"),
        (lambda key, mask: (key, [[1], [0, 1]] + [[0]] * (len(mask) - 2)), "no list of 0 and 1"),
        (lambda key, mask: (key, 1), "no list of 0 and 1"),
        (lambda key, mask: (key, ["1"] * len(mask)), "no list of 0 and 1"),
        (lambda key, mask: (f"x{key}", mask), "none of the"),
    ],
    ids=["short", "weights", "holes", "null", "lists", "number", "texts", "strangers"],
)
def test_masks_of_other_answers_are_refused_before_a_draw(
    root: Path, tmp_path: Path, damage: Callable[..., tuple[str, Any]], said: str
) -> None:
    rows = read(root, "masks").items()
    masks = dict(damage(key, [int(mark) for mark in row["loss_mask"]]) for key, row in rows)
    path = write_masks(tmp_path / "bad.parquet", masks)
    result = call("value", root, *OPTIONS, "--mask", f"bad={path}", code=1)
    assert said in result.output and "bad.parquet" in result.output
    assert not list(root.glob("values/*"))


@pytest.mark.parametrize("what", ["missing", "no Parquet", "no column", "pipe", "twice"])
def test_files_that_hold_no_mask_are_refused(root: Path, tmp_path: Path, what: str) -> None:
    path = tmp_path / "bad.parquet"
    masks = {key: row["loss_mask"] for key, row in read(root, "masks").items()}
    if what == "no Parquet":
        path.write_text("no Parquet")
    elif what == "no column":
        pq.write_table(pa.table({"trajectory_id": list(masks)}), path)
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "twice":
        table = pa.table(
            {"trajectory_id": [*masks, *masks], "loss_mask": [*masks.values(), *masks.values()]}
        )
        pq.write_table(table, path)
    result = call("value", root, *OPTIONS, "--mask", f"bad={path}", code=1)
    assert "bad.parquet" in result.output and "Traceback" not in result.output


@pytest.mark.parametrize("given", ["name", "=path", "name=", "a.b=path"])
def test_what_is_no_name_and_path_is_refused(root: Path, given: str) -> None:
    assert "NAME=PATH" in call("value", root, "--mask", given, code=2).output


ODD_COLUMNS: list[tuple[Any, Any, str]] = [
    ([["a"]], [[1]], "and not text"),
    ([{"x": 1}], [[1]], "and not text"),
    ([b"a"], [[1]], "and not text"),
    (["a"], [1], "no list of 0 and 1"),
    (["a"], ["101"], "no list of 0 and 1"),
    (["a"], [{"x": 1}], "no list of 0 and 1"),
]


@pytest.mark.parametrize(("keys", "marks", "said"), ODD_COLUMNS)
def test_columns_of_another_kind_are_refused(
    tmp_path: Path, keys: Any, marks: Any, said: str
) -> None:
    path = tmp_path / "odd.parquet"
    pq.write_table(pa.table({"trajectory_id": keys, "loss_mask": marks}), path)
    with pytest.raises(InputError, match=said):
        list(_iter_masks(path, {"a"}))


def test_an_id_that_is_no_text_and_a_column_that_is_there_twice_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.parquet"
    bad = pa.array([b"\xff"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"trajectory_id": bad, "loss_mask": [[1]]}), path)
    with pytest.raises(InputError, match="cannot be read"):
        list(_iter_masks(path, {"a"}))
    twice = [pa.array(["a"]), pa.array([[1]]), pa.array([[0]])]
    names = ["trajectory_id", "loss_mask", "loss_mask"]
    pq.write_table(pa.Table.from_arrays(twice, names=names), path)
    with pytest.raises(InputError, match="several columns"):
        list(_iter_masks(path, {"a"}))
