"""Examples on disk come back as they were, in any order, pictures decoded."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfgen.errors import InputError
from dfgen.export.exporting import export_tables
from dfgen.store.finished import open_finished
from dfgen.trainers.carrying import carry_divisors
from dfgen.trainers.examples import Example, make_examples
from dfgen.trainers.pictures import open_picture
from dfgen.trainers.stored import EXTRAS, StoredRow, store_examples
from tests.support.group_files import make_answer, write_groups
from tests.support.sample_run import make_run


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("groups")
    run = make_run(folder / "run", prompts=5, samples=4)
    export_tables(open_finished(run), ["groups"], folder / "table", flat=True)
    return folder / "table"


@pytest.mark.parametrize("recipe", ["df+repair", "grpo", "sft"])
def test_rows_are_the_examples(groups: Path, recipe: str) -> None:
    examples = make_examples(groups, recipe, say=None)
    extras = {row["prompt_id"]: row for row in examples.iter_prompts(("prompt_id", *EXTRAS))}
    rows = store_examples(examples, extras)
    wanted = list(examples)
    assert len(rows) == len(wanted) > 3
    whole = make_examples(groups, recipe, keep_zero=True, say=None).iter_groups()
    carried = [each for group in whole for each in carry_divisors(group)]
    for place in np.random.default_rng(0).permutation(len(rows)).tolist():
        check_row(rows[place], wanted[place])
        stored, counted = rows[place]["stored"], carried[place]
        assert (stored.divisor, stored.answers) == (counted.divisor, counted.answers)
        assert rows[place]["answer"] == extras[wanted[place].prompt_id]["answer"]


def check_row(row: dict[str, Any], example: Example) -> None:
    stored: StoredRow = row["stored"]
    assert row["trajectory_id"] == example.trajectory_id
    assert row["prompt"] == example.prompt
    assert stored.ids.tolist() == example.ids.tolist()
    assert stored.advantages.tolist() == (example.advantages * example.loss_mask).tolist()
    assert stored.loss_mask.tolist() == example.loss_mask.tolist()
    known = None if example.old_logprobs is None else example.old_logprobs.tolist()
    assert (None if stored.old_logprobs is None else stored.old_logprobs.tolist()) == known
    assert stored.likelihood == (example.loss == "likelihood")
    assert stored.kind == example.kind
    for picture, image in zip(row["images"], example.images, strict=True):
        with PIL.Image.open(io.BytesIO(image["bytes"])) as expected:
            assert picture.tobytes() == expected.convert("RGB").tobytes()


def test_repairs_of_a_group_that_is_all_wrong_count_its_answers(tmp_path: Path) -> None:
    """Else the few right answers of a batch would divide all that hard prompts add to it."""
    wrong = make_answer(ids=range(1, 8), reward=0, repair=[3, 4], new=[True, False])
    plain = make_answer(ids=range(1, 6), reward=0)
    folder = write_groups(tmp_path, [[wrong, plain], [plain, plain]])
    rows = store_examples(make_examples(folder, "df+repair", say=None), {})
    data = rows.data
    assert data["kind"].to_pylist() == ["repair"]
    assert (data["divisor"].to_pylist(), data["answers"].to_pylist()) == ([12], [2])


def test_rows_can_be_selected_and_sent_to_workers(groups: Path) -> None:
    rows = store_examples(make_examples(groups, say=None), {})
    some = pickle.loads(pickle.dumps(rows.select([3, 1])))
    assert [row["trajectory_id"] for row in some] == [rows[i]["trajectory_id"] for i in (3, 1)]
    assert some[0]["answer"] is None


def test_a_question_without_a_picture_has_plain_text(tmp_path: Path) -> None:
    """Chat templates of models for text know no blocks."""
    answers = [make_answer(reward=1.0), make_answer(reward=0.0)]
    (file,) = write_groups(tmp_path, [answers], manifest=False).glob("*.parquet")
    table = pq.read_table(file)
    plain = [{"role": "user", "content": "Question?"}]
    block = {"type": "text", "text": "Question?"}
    prompt = [{"role": "user", "content": [block]}]
    rows = table.to_pylist()
    changed = [{**row, "images": [], "messages": plain, "prompt": prompt} for row in rows]
    pq.write_table(pa.Table.from_pylist(changed, schema=table.schema), file)
    rows = store_examples(make_examples(tmp_path, say=None), {})
    assert "images" not in rows[0]
    assert rows[0]["prompt"] == plain


def test_a_picture_that_is_none_is_named() -> None:
    with pytest.raises(InputError, match=r"a\.png.*cannot be decoded"):
        open_picture({"bytes": b"nothing", "path": "a.png"})
