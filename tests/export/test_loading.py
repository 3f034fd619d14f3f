"""Rows are the same wherever they are loaded from, and another tokenizer is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dfgen
from dfgen.errors import DamagedFileError, InputError
from dfgen.export.exporting import export_tables
from dfgen.store.finished import open_finished


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("all")
    export_tables(open_finished(run), ["groups", "trajectories"], folder)
    return folder


def same(left, right) -> bool:
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right)
    return bool(left == right)


def test_groups_of_a_run_an_export_and_a_file_are_equal(run: Path, exported: Path) -> None:
    rows = list(dfgen.load_groups(run))
    assert len(rows) == len(dfgen.load_groups(run)) == 8
    assert same(rows, list(dfgen.load_groups(exported)))
    assert same(rows, list(dfgen.load_groups(exported / "groups")))
    assert same(rows, list(dfgen.load_groups(next((exported / "groups").iterdir()))))


def test_masks_too_and_those_of_mask_files_lack_only_the_question(
    run: Path, exported: Path
) -> None:
    rows = list(dfgen.load_masks(run))
    assert len(rows) == len(dfgen.load_masks(run)) == 32
    assert same(rows, list(dfgen.load_masks(exported)))
    raw = list(dfgen.load_masks(run / "masks"))
    for row, bare in zip(rows, raw, strict=True):
        assert bare.keys() == row.keys()
        assert [name for name in row if not same(row[name], bare[name])] == [
            *("problem", "answer", "data_source")
        ]


def test_lists_of_numbers_are_arrays(run: Path) -> None:
    row = next(iter(dfgen.load_masks(run)))
    assert row["completion_ids"].dtype == np.int32
    assert row["loss_mask"].dtype == np.bool_
    assert row["logprobs"].dtype == np.float32
    assert len(row["token_bytes"]) == len(row["completion_ids"]) + 1
    assert row["weights"] is None
    with pytest.raises(ValueError, match="read-only"):
        row["loss_mask"][0] = True


def test_columns(run: Path, exported: Path) -> None:
    for place in (run, exported):
        rows = dfgen.load_groups(place, columns=["prompt_id", "trajectories.loss_mask"])
        row = next(iter(rows))
        assert set(row) == {"prompt_id", "trajectories"}
        assert set(row["trajectories"][0]) == {"loss_mask"}
    masks = dfgen.load_masks(run / "masks", columns=["completion_text"])
    assert set(next(iter(masks))) == {"completion_text"}


def test_the_right_tokenizer_in_every_form(run: Path, exported: Path) -> None:
    from transformers import AutoTokenizer

    folder = str(Path(dfgen.__file__).parent / "demo/models/policy")
    session = open_finished(run)
    forms = ["demo:policy", folder, AutoTokenizer.from_pretrained(folder), session.tokenizer]
    for tokenizer in (*forms, session.tokenizer.sha256):
        assert len(dfgen.load_groups(exported, tokenizer=tokenizer)) == 8
    assert len(dfgen.load_masks(run / "masks", tokenizer="demo:policy")) == 32


def test_another_tokenizer_is_an_error_that_names_the_way_out(run: Path, exported: Path) -> None:
    from tokenizers import Tokenizer, models

    other = dfgen.load_tokenizer.__globals__["TextTokenizer"].from_tokenizers(
        Tokenizer(models.WordLevel({f"w{i}": i for i in range(600)}, unk_token="w0")), "other"
    )
    for place in (run, exported):
        with pytest.raises(InputError, match="dfgen retokenize"):
            dfgen.load_masks(place, tokenizer=other)
    with pytest.raises(InputError, match=r"(?s)do not decode.*dfgen retokenize"):
        dfgen.load_masks(run / "masks", tokenizer=other)
    with pytest.raises(InputError, match="nobody noted"):
        dfgen.load_masks(run / "masks", tokenizer="0" * 64)


@pytest.mark.parametrize("place", ["no/such/folder/at/all", "nothing.parquet", "a b"])
def test_what_is_not_there(place: str) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        dfgen.load_masks(place)


def test_the_wrong_table_and_a_missing_file(run: Path, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds trajectories/1, not groups/1"):
        dfgen.load_groups(exported / "trajectories")
    with pytest.raises(InputError, match=r"dfgen\.mask/1, not groups/1"):
        dfgen.load_groups(run / "masks")
    export_tables(open_finished(run), ["groups"], tmp_path / "part")
    next((tmp_path / "part/groups").iterdir()).unlink()
    with pytest.raises(DamagedFileError, match="missing"):
        dfgen.load_groups(tmp_path / "part")
    with pytest.raises(InputError, match="no table trajectories"):
        dfgen.load_masks(tmp_path / "part")


def test_offline_repository_is_an_error_with_a_hint() -> None:
    with pytest.raises(InputError, match=r"cannot fetch dfgen\.json"):
        dfgen.load_groups("nobody/nothing")


def test_plain_datasets_reads_the_folder(exported: Path, tmp_path: Path) -> None:
    code = (
        "import datasets, json, sys\n"
        "table = datasets.load_dataset(sys.argv[1], split='train')\n"
        "row = table[0]\n"
        "print(json.dumps([table.num_rows, row['images'][0].size, "
        "len(row['trajectories'][0]['loss_mask'])]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(exported / "groups")],
        capture_output=True,
        text=True,
        check=True,
        env={**__import__("os").environ, "HF_HOME": str(tmp_path)},
    )
    first = next(iter(dfgen.load_groups(exported)))
    length = len(first["trajectories"][0]["loss_mask"])
    assert json.loads(result.stdout.splitlines()[-1]) == [8, [64, 64], length]


def test_import_dfgen_stays_light() -> None:
    heavy = "('pyarrow', 'numpy', 'datasets')"
    code = f"import sys, dfgen; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("table", ["groups", "trajectories"])
def test_no_flipped_bit_makes_other_rows(exported: Path, tmp_path: Path, table: str) -> None:
    """A reader that does not check pages hands on other ids, masks and pictures without a word."""
    load = dfgen.load_groups if table == "groups" else dfgen.load_masks
    (source,) = (exported / table).iterdir()
    data, expected = source.read_bytes(), list(load(exported))
    shutil.copy(exported / "dfgen.json", tmp_path)
    for name in ("groups", "trajectories"):
        shutil.copytree(exported / name, tmp_path / name)
    rng = np.random.default_rng(0)
    for place in rng.integers(8, len(data) - 8, size=24).tolist():
        broken = bytearray(data)
        broken[place] ^= 1 << int(rng.integers(8))
        (tmp_path / table / source.name).write_bytes(broken)
        with pytest.raises((DamagedFileError, InputError)):
            list(load(tmp_path))
    (tmp_path / table / source.name).write_bytes(data)
    assert same(list(load(tmp_path)), expected)
