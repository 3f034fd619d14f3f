"""Data that were altered, mixed or put together by hand: nothing unsound is trained on in silence.

Each case is written as a whole data set, with a dfgen.json that fits, as somebody would who means
it; the error must name the file, what it is about and a way out.
"""

from __future__ import annotations

import io
import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dfgen.errors import DamagedFileError, DfgenError, InputError
from dfgen.export.load import load_groups
from dfgen.trainers import soundness
from dfgen.trainers.batches import LOWEST_LOGPROB
from dfgen.trainers.column_types import NESTED
from dfgen.trainers.examples import make_examples
from dfgen.trainers.pictures import open_picture
from dfgen.trainers.privileged import check_joined, read_contexts
from dfgen.trainers.recipe import RECIPES
from dfgen.validate import masks as validate_masks
from tests.support.group_files import TOKENIZER, make_answer, write_groups, write_manifest

FILE = "train-00000-of-00001.parquet"
RIGHT = make_answer([1, 2, 3, 4], 1.0, weights=[1.0] * 4)
REPAIRED = make_answer(
    *([1, 2, 3, 5], 0.0, [False, False, False, True]),
    *([1, 2, 3, 4], [False, False, False, True]),
    repair_logprobs=[-0.5] * 4,
    weights=[1.0] * 4,
)
ALL = RECIPES["df+repair"].change(weights=True, positive_loss="ratio")


def train(data: Path, recipe: Any = ALL) -> list[Any]:
    return list(make_examples(data, recipe, say=str))


def refuse(data: Path, recipe: Any = ALL) -> str:
    """Return the message by which a data set is refused; it must name its file and a way out."""
    with pytest.raises(DamagedFileError) as caught:
        train(data, recipe)
    error = caught.value
    assert error.where is not None and error.where.endswith(".parquet")
    assert error.hint
    return error.what


def rewrite(folder: Path, change: Callable[[pa.Table], pa.Table]) -> Path:
    """Change the table and write a dfgen.json that lists it as it is now."""
    path = folder / FILE
    table = change(pq.read_table(path))
    pq.write_table(table, path)
    write_manifest(folder, [path], table.num_rows)
    return folder


def retype(column: str, kind: pa.DataType, convert: Callable[[Any], Any]) -> Any:
    """Return a change of one column, of groups or of their answers, to another type."""

    def change(table: pa.Table) -> pa.Table:
        rows, schema = table.to_pylist(), table.schema
        field = pa.field(column, kind)
        if column in schema.names:
            rows = [{**row, column: convert(row[column])} for row in rows]
            return pa.Table.from_pylist(rows, schema.set(schema.get_field_index(column), field))
        index = schema.get_field_index(NESTED)
        inner = [
            field if old.name == column else old for old in schema.field(index).type.value_type
        ]
        for row in rows:
            row[NESTED] = [{**answer, column: convert(answer[column])} for answer in row[NESTED]]
        answers = pa.field(NESTED, pa.list_(pa.struct(inner)))
        return pa.Table.from_pylist(rows, schema.set(index, answers))

    return change


def drop(column: str) -> Any:
    def change(table: pa.Table) -> pa.Table:
        if column in table.schema.names:
            return table.drop_columns([column])
        rows, index = table.to_pylist(), table.schema.get_field_index(NESTED)
        kept = [f for f in table.schema.field(index).type.value_type if f.name != column]
        field = pa.field(NESTED, pa.list_(pa.struct(kept)))
        return pa.Table.from_pylist(rows, table.schema.set(index, field))

    return change


def test_what_the_cases_start_from_is_trained_on(tmp_path: Path) -> None:
    assert [e.kind for e in train(write_groups(tmp_path / "g", [[RIGHT, REPAIRED]]))] == [
        *("right", "failed", "repair"),
    ]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"logprobs": [-1, -1, -1, 0.5]}, r"logprobs holds 0\.5; no log-prob is above 0"),
        ({"logprobs": [-1, -1, -1, math.inf]}, "logprobs holds inf; no log-prob is above 0"),
        ({"repair_logprobs": [-1, -1, -1, 3]}, r"repair_logprobs holds 3\.0"),
        ({"completion_ids": [1, 2, 3, -1]}, "completion_ids holds -1; a token id is 0 or more"),
        ({"repair_ids": [1, 2, -100, 4]}, "repair_ids holds -100"),
        ({"weights": [0, 0, 0, -0.5]}, r"weights holds -0\.5; a weight is between 0 and 1"),
        ({"weights": [0, 0, 0, 2.0]}, r"weights holds 2\.0"),
        ({"weights": [0, 0, 0, math.inf]}, "weights holds inf"),
        ({"mask_source": "given"}, "mask_source is 'given', none of"),
        ({"mask_source": None}, "mask_source is None, none of"),
        ({"reward": math.inf}, "p0000-1 has reward inf"),
        ({"completion_ids": [1, None, 2, 3]}, r"completion_ids holds a null \(p0000-1\)"),
        ({"trajectory_id": "p0000-0"}, "the answer p0000-0 stands there twice"),
        ({"trajectory_id": None}, "answer 1 of a batch has no trajectory_id"),
    ],
)
def test_an_answer_that_no_sound_run_has(tmp_path: Path, changed: Any, words: str) -> None:
    folder = write_groups(tmp_path / "g", [[RIGHT, {**REPAIRED, **changed}]])
    assert re.search(words, refuse(folder))


def test_limits_are_those_of_validate() -> None:
    assert soundness.ABOVE_ZERO == validate_masks.ABOVE_ZERO


@pytest.mark.parametrize("unknown", [math.nan, -math.inf, -1e30, 2 * LOWEST_LOGPROB])
def test_a_logprob_that_no_answer_has_is_not_known(tmp_path: Path, unknown: float) -> None:
    """A ratio to it would be infinite, and the gradient no number."""
    bad = [-0.5, -0.5, -0.5, unknown]
    group = [RIGHT, {**REPAIRED, "logprobs": bad, "repair_logprobs": bad}]
    said: list[str] = []
    folder = write_groups(tmp_path / "g", [group])
    found = {e.kind: e.old_logprobs for e in make_examples(folder, ALL, say=said.append)}
    assert found["failed"] is None and found["repair"] is None and found["right"] is not None
    assert "1 answers that are trained by ratio have no old log-probs" in said[0]


TEXTS = pa.list_(pa.string())
FLOATS = pa.list_(pa.float64())


def as_texts(value: Any) -> Any:
    return None if value is None else [str(each) for each in value]


def as_numbers(value: Any) -> Any:
    return None if value is None else [float(each) for each in value]


@pytest.mark.parametrize(
    "column", ["completion_ids", "repair_ids", "loss_mask", "repair_mask", "logprobs", "weights"]
)
@pytest.mark.parametrize(
    ("kind", "convert"),
    [
        (pa.string(), str),
        (pa.int32(), lambda _: 1),
        (TEXTS, as_texts),
        (pa.list_(pa.list_(pa.int32())), lambda v: None if v is None else [[1]] * len(v)),
        (pa.struct([("a", pa.int32())]), lambda _: {"a": 1}),
    ],
)
def test_lists_of_another_type(tmp_path: Path, column: str, kind: Any, convert: Any) -> None:
    folder = write_groups(tmp_path / "g", [[RIGHT, REPAIRED]])
    what = refuse(rewrite(folder, retype(column, kind, convert)))
    assert f"its column trajectories.{column} is " in what and "it must be lists of" in what


@pytest.mark.parametrize(
    ("column", "kind", "convert"),
    [
        ("loss_mask", pa.list_(pa.int8()), as_numbers),
        ("loss_mask", FLOATS, as_numbers),
        ("repair_mask", pa.list_(pa.int64()), as_numbers),
        ("completion_ids", FLOATS, as_numbers),
        ("logprobs", pa.list_(pa.int64()), lambda v: [-1] * len(v)),
        ("reward", pa.string(), str),
        ("reward", pa.bool_(), bool),
        ("undecided", pa.string(), lambda _: "x"),
        ("mask_source", pa.int32(), lambda _: 1),
        ("trajectory_id", pa.binary(), lambda v: v.encode()),
        ("prompt_id", pa.int32(), lambda _: 1),
        ("prompt", pa.string(), lambda _: "Why?"),
        ("messages", pa.string(), lambda _: "Why?"),
        ("images", pa.list_(pa.binary()), lambda _: [b"a"]),
        ("images", pa.int32(), lambda _: 1),
        (NESTED, pa.string(), lambda _: "none"),
        (NESTED, pa.list_(pa.int32()), lambda _: [1]),
    ],
)
def test_columns_of_another_type(tmp_path: Path, column: str, kind: Any, convert: Any) -> None:
    """A mask of numbers would be true wherever a number is not 0, `false` as text likewise."""
    folder = write_groups(tmp_path / "g", [[RIGHT, REPAIRED]])
    what = refuse(rewrite(folder, retype(column, kind, convert)))
    assert f"{column} is " in what and "it must be" in what


@pytest.mark.parametrize(
    "column",
    [
        *("prompt_id", "prompt", "messages", "images", NESTED),
        *("trajectory_id", "mask_source", "completion_ids", "loss_mask", "reward"),
    ],
)
def test_columns_that_are_missing(tmp_path: Path, column: str) -> None:
    folder = write_groups(tmp_path / "g", [[RIGHT, REPAIRED]])
    what = refuse(rewrite(folder, drop(column)))
    assert column in what


@pytest.mark.parametrize(
    ("column", "kind", "convert"),
    [
        ("completion_ids", pa.large_list(pa.int64()), lambda v: v),
        ("completion_ids", pa.list_(pa.uint16()), lambda v: v),
        ("logprobs", FLOATS, lambda v: v),
        ("undecided", pa.null(), lambda _: None),
        ("mask_source", pa.dictionary(pa.int32(), pa.string()), lambda v: v),
        ("completion_text", pa.large_string(), lambda v: v),
    ],
)
def test_other_types_that_say_the_same(
    tmp_path: Path, column: str, kind: Any, convert: Any
) -> None:
    """As tables come back from other tools; what a trainer gets is of one type all the same."""
    group = [RIGHT, REPAIRED]
    plain = train(write_groups(tmp_path / "g", [group]), "df+repair")
    folder = write_groups(tmp_path / "h", [group])
    found = train(rewrite(folder, retype(column, kind, convert)), "df+repair")
    for one, other in zip(plain, found, strict=True):
        assert (one.ids.tolist(), one.ids.dtype) == (other.ids.tolist(), other.ids.dtype)
        assert one.advantages.tolist() == other.advantages.tolist()
        if one.old_logprobs is not None:
            assert other.old_logprobs.dtype == one.old_logprobs.dtype


def test_a_token_id_of_64_bits_is_no_other_id(tmp_path: Path) -> None:
    folder = write_groups(tmp_path / "g", [[RIGHT, REPAIRED]])
    wide = retype("completion_ids", pa.list_(pa.int64()), lambda v: [each + 2**32 for each in v])
    assert "holds 4294967297; a token id" in refuse(rewrite(folder, wide))


PICTURE = {"bytes": b"picture", "path": None}


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("images", [], "1 pictures in `prompt` and 1 in `messages`, and `images` holds 0"),
        ("images", None, "`images` holds 0"),
        ("images", [PICTURE] * 2, "`images` holds 2"),
        ("images", [{"bytes": b"", "path": None}], "a picture without bytes"),
        ("images", [{"bytes": None, "path": "/etc/passwd"}], "a picture without bytes"),
        ("images", [None], "a picture without bytes"),
        ("messages", [{"role": "user", "content": "Why?"}], "0 in `messages`"),
        ("messages", [], "no question"),
        ("messages", None, "no question"),
        ("messages", [{"role": "user", "content": None}], "no question"),
        ("prompt", None, "no question"),
        ("prompt", [None], "no question"),
        ("prompt", [{"role": "user", "content": [None]}], "a block in `prompt` that is null"),
        ("prompt_id", None, "no prompt_id"),
    ],
)
def test_a_question_and_its_pictures(tmp_path: Path, column: str, value: Any, words: str) -> None:
    folder = write_groups(tmp_path / "g", [[RIGHT, REPAIRED]])
    kind = pq.read_schema(folder / FILE).field(column).type
    assert words in refuse(rewrite(folder, retype(column, kind, lambda _: value)))


def test_a_group_that_stands_twice(tmp_path: Path) -> None:
    """Two exports of one run in one folder, or a file that was copied."""
    folder = write_groups(tmp_path / "g", [[RIGHT, REPAIRED]], manifest=False)
    shutil.copy(folder / FILE, folder / "train-00001-of-00001.parquet")
    assert "the answer p0000-0 stands there twice" in refuse(folder)
    with pytest.raises(DamagedFileError, match="load_rounds"):
        train(folder)
    silent = make_examples(folder, "df", say=None)
    with pytest.raises(DamagedFileError, match="stands there twice"):
        list(silent)


def test_a_file_that_was_put_beside_those_of_a_data_set(tmp_path: Path) -> None:
    """It must not take the checksums of the others away with it."""
    groups = tmp_path / "data" / "groups"
    write_groups(groups, [[RIGHT, REPAIRED]], manifest=False)
    write_manifest(groups.parent, [groups / FILE], 1)
    assert len(train(groups)) == len(train(groups.parent)) == 3
    other = write_groups(tmp_path / "other", [[RIGHT]], manifest=False, first=5)
    (other / FILE).rename(groups / "train-00007-of-00008.parquet")
    assert len(train(groups.parent)) == 3
    for given in (groups, groups / "train-00007-of-00008.parquet"):
        if given.is_dir():
            assert "does not list this file" in refuse(given)
    (groups.parent / "x.parquet").write_bytes((groups / FILE).read_bytes())
    assert "does not list this file" in refuse(groups.parent / "x.parquet")


def test_a_file_of_another_tokenizer_than_its_data_set_says(tmp_path: Path) -> None:
    folder = write_groups(tmp_path / "g", [[RIGHT]], tokenizer="b" * 64)
    write_manifest(folder, [folder / FILE], 1, TOKENIZER)
    assert "of another tokenizer" in refuse(folder)


@pytest.mark.parametrize("name", ["../h/{}", "/tmp/{}", "a/../../h/{}", "..\\h\\{}", "a\0{}"])
def test_a_manifest_that_leads_out_of_its_folder(tmp_path: Path, name: str) -> None:
    folder = write_groups(tmp_path / "g", [[RIGHT]])
    write_groups(tmp_path / "h", [[RIGHT]])
    data = json.loads((folder / "dfgen.json").read_text())
    data["tables"]["groups"]["files"][0]["path"] = name.format(FILE)
    (folder / "dfgen.json").write_text(json.dumps(data))
    for load in (train, lambda given: list(load_groups(given))):
        with pytest.raises(DamagedFileError, match="outside of the data set"):
            load(folder)


@pytest.mark.parametrize(
    "text",
    [
        '{"format": "dfgen.dataset/1", "a": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"format": "dfgen.dataset/1", "a": ' + "9" * 5_000 + "}",
        '{"format": "dfgen.dataset/1", "tables": {"groups": {"files": '
        '[{"path": "a", "size": 1e999, "sha256": ""}]}}, "run_created": "", "tokenizer": {}}',
        '{"format": "dfgen.dataset/1", "tables": {}, "run_created": "", "tokenizer": {}, '
        '"origin": {"sampling": {"temperature": 1' + "0" * 400 + "}}}",
        "\xff",
    ],
    ids=["deep", "digits", "infinite", "large", "bytes"],
)
def test_a_hostile_manifest_has_a_clear_end(tmp_path: Path, text: str) -> None:
    folder = write_groups(tmp_path / "g", [[RIGHT]])
    (folder / "dfgen.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DamagedFileError, match=r"manifest of (a|this) data set"):
        train(folder)


@pytest.mark.parametrize("at", range(0, 100, 4))
def test_a_file_that_was_cut_or_overwritten(tmp_path: Path, at: int) -> None:
    """Without a dfgen.json nothing tells but the file itself; never a traceback."""
    folder = write_groups(tmp_path / "g", [[RIGHT, REPAIRED]], manifest=False)
    whole = (folder / FILE).read_bytes()
    place = len(whole) * at // 100
    for broken in (whole[:place], whole[:place] + b"\xff" * 8 + whole[place + 8 :]):
        (folder / FILE).write_bytes(broken)
        try:
            found = train(folder)
        except DfgenError:
            continue
        assert [e.ids.tolist() for e in found] == [[1, 2, 3, 4], [1, 2, 3, 5], [1, 2, 3, 4]]


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n" + b"\0" * 40,
        b"GIF89a" + b"\xff" * 4,
        b"II*\0" + b"\xff" * 60,
        b"RIFF\xff\xff\xff\xffWEBPVP8 ",
        b"",
    ],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_picture_that_is_broken(data: bytes) -> None:
    with pytest.raises(InputError, match="cannot be decoded"):
        open_picture({"bytes": data, "path": None})


def test_a_picture_that_is_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = io.BytesIO()
    Image.new("1", (200, 200)).save(sink, "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    with pytest.raises(InputError, match="decompression bomb"):
        open_picture({"bytes": sink.getvalue(), "path": "a.png"})


def write_contexts(path: Path, names: list[Any]) -> Path:
    rows = [{"trajectory_id": n, "teacher_prompt": "Why?", "teacher_images": None} for n in names]
    images = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    text = pa.string()
    schema = pa.schema(
        [("trajectory_id", text), ("teacher_prompt", text), ("teacher_images", images)]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    return path


def test_teachers_prompts_that_are_damaged(tmp_path: Path) -> None:
    path = write_contexts(tmp_path / "a.parquet", ["p-0", "p-1"])
    contexts = read_contexts(path)
    assert list(contexts) == ["p-0", "p-1"]
    check_joined(contexts, ["p-1", "p-2"], str(path))
    with pytest.raises(InputError, match="none of these 2 teacher's prompts belongs to"):
        check_joined(contexts, ["q-1"], str(path))
    with pytest.raises(DamagedFileError, match="p-0 stands there twice"):
        read_contexts(write_contexts(tmp_path / "b.parquet", ["p-0", "p-0"]))
    with pytest.raises(DamagedFileError, match="no trajectory_id"):
        read_contexts(write_contexts(tmp_path / "c.parquet", ["p-0", None]))
    (tmp_path / "d.parquet").write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DamagedFileError, match="cannot be read as Parquet"):
        read_contexts(tmp_path / "d.parquet")
    with pytest.raises(InputError, match="no such file"):
        read_contexts(tmp_path / "e.parquet")
