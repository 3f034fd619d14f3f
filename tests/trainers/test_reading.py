"""Bad data ends with an error that says what to do, or is left out and counted."""

from __future__ import annotations

import contextlib
import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from dfgen.demo import resolve_model
from dfgen.errors import DamagedFileError, DfgenError, InputError
from dfgen.export.exporting import export_tables
from dfgen.export.load import load_groups
from dfgen.export.manifest import read_dataset_manifest
from dfgen.export.tables import GROUPS
from dfgen.sealed_json import seal
from dfgen.store.finished import open_finished
from dfgen.trainers import reading
from dfgen.trainers.advantages import RIGHT_REWARD
from dfgen.trainers.checks import find_picture_ids, hash_tokenizer
from dfgen.trainers.examples import make_examples
from dfgen.trainers.manifest import read_manifest
from dfgen.trainers.recipe import RECIPES
from tests.support.group_files import TOKENIZER, make_answer, write_groups, write_manifest
from tests.support.sample_run import make_run
from tests.trainers.test_examples import REPAIRED, RIGHT, WRONG

FILE = "train-00000-of-00001.parquet"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run") / "run", prompts=8, samples=4)


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "out"
    export_tables(open_finished(run), ["groups", "trajectories"], out)
    return out


def open_examples(data: Any, recipe: Any = "df+repair", **options: Any) -> Any:
    return make_examples(data, recipe, say=None, **options)


def test_a_description_that_was_altered_is_named(exported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(exported, folder)
    note = folder / "dfgen.json"
    data = json.loads(note.read_text())
    data["tokenizer"]["sha256"] = "a" * 64
    note.write_text(json.dumps(data))
    with pytest.raises(DamagedFileError, match=r"not what dfgen wrote") as caught:
        open_examples(folder)
    assert "content_sha256" in str(caught.value)
    note.write_text(json.dumps({k: v for k, v in data.items() if k != "content_sha256"}, indent=3))
    read_manifest(note, reading.TABLE)  # agreed to, or of an earlier dfgen


def test_names_are_those_of_the_export() -> None:
    """Copied, since the originals stand beside pydantic."""
    from dfgen.records import RIGHT_REWARD as ORIGINAL

    assert GROUPS.label == f"{reading.TABLE}/{reading.TABLE_VERSION}"
    assert GROUPS.nested_in == reading.NESTED
    assert RIGHT_REWARD == ORIGINAL


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "\0", '{"format": "dfgen.dataset/9"}', "[" * 100_000, '{"format": 1}']
)
def test_both_readers_of_the_manifest_refuse_the_same(tmp_path: Path, text: str) -> None:
    path = tmp_path / "dfgen.json"
    path.write_text(text)
    with pytest.raises(DfgenError) as exported:
        read_dataset_manifest(path)
    with pytest.raises(type(exported.value)) as trained:
        read_manifest(path, reading.TABLE)
    said = [str(error.value) for error in (exported, trained)]
    assert said[0].startswith(str(path)) and said[1].startswith(str(path))
    if text != '{"format": 1}':  # what it lacks, each says for itself
        assert said[0] == said[1]


def test_an_export_is_read_as_a_folder_a_table_or_a_file(exported: Path) -> None:
    found = [
        [(e.trajectory_id, e.kind, e.ids.tolist()) for e in open_examples(data)]
        for data in (exported, exported / "groups", exported / "groups" / FILE, str(exported))
    ]
    assert len(found[0]) > 10
    assert found.count(found[0]) == len(found)
    assert all(open_examples(data).origin for data in (exported, exported / "groups"))


def test_examples_hold_what_was_exported(exported: Path) -> None:
    rows = {t["trajectory_id"]: (g, t) for g in load_groups(exported) for t in g["trajectories"]}
    for example in open_examples(exported, "grpo+repair"):
        group, answer = rows[example.trajectory_id]
        repair = example.kind == "repair"
        assert example.prompt == group["prompt"]
        assert example.messages == group["messages"]
        assert example.images == group["images"]
        assert example.text == answer["repair" if repair else "completion_text"]
        ids = answer["repair_ids" if repair else "completion_ids"]
        assert example.ids.tolist() == ids.tolist()
        if not repair:
            assert example.old_logprobs.tolist() == answer["logprobs"].tolist()
            assert example.reward == answer["reward"]


def test_a_run_directory_is_told_the_command(run: Path) -> None:
    with pytest.raises(InputError, match=rf"dfgen export {run} --to groups --out DIR"):
        open_examples(run)


def test_other_tables_and_files_are_refused(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds trajectories/1, not groups/1"):
        open_examples(exported / "trajectories" / FILE)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="holds something else"):
        open_examples(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_text("no")
    with pytest.raises(DamagedFileError, match="cannot be read as Parquet"):
        open_examples(tmp_path / "b.parquet")
    with pytest.raises(InputError, match="no id of a data set on the Hub"):
        open_examples(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no Parquet file in this folder"):
        open_examples(tmp_path / "empty")


def test_a_data_set_without_groups_is_refused(exported: Path, tmp_path: Path) -> None:
    data = json.loads((exported / "dfgen.json").read_text())
    del data["tables"]["groups"]
    (tmp_path / "dfgen.json").write_text(json.dumps(seal(data)))
    with pytest.raises(InputError, match="no table groups; it holds trajectories"):
        open_examples(tmp_path)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    folder = write_groups(tmp_path / "g", [[RIGHT, WRONG]])
    data = json.loads((folder / "dfgen.json").read_text())
    (folder / "dfgen.json").write_text(json.dumps({**data, "format": "dfgen.dataset/9"}))
    with pytest.raises(InputError, match=r"(?s)dfgen\.dataset/9.*Update dfgen"):
        open_examples(folder)
    (folder / "dfgen.json").unlink()
    table = pq.read_table(folder / FILE)
    metadata = {**table.schema.metadata, b"dfgen.table": b"groups/2"}
    pq.write_table(table.replace_schema_metadata(metadata), folder / FILE)
    with pytest.raises(InputError, match=r"groups/2.*reads groups/1"):
        open_examples(folder)


@pytest.mark.parametrize("text", ["", "[]", '{"format": "dfgen.dataset/1"}', '{"format": "x"}'])
def test_a_broken_manifest_is_refused(tmp_path: Path, text: str) -> None:
    folder = write_groups(tmp_path / "g", [[RIGHT, WRONG]])
    (folder / "dfgen.json").write_text(text)
    with pytest.raises(DamagedFileError):
        open_examples(folder)


def list_places(tree: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in JSON."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in inner:
        yield (*place, key)
        if isinstance(value, (dict, list)):
            yield from list_places(value, (*place, key))


@pytest.mark.parametrize("value", [None, -1, 1.5, "x", [], [1], {}, {"a": 1}, True])
def test_whatever_a_manifest_says_there_is_a_clear_end(tmp_path: Path, value: Any) -> None:
    """Every place of it in turn holds something else."""
    folder = write_groups(tmp_path / "g", [[RIGHT, WRONG]])
    note = folder / "dfgen.json"
    whole = json.loads(note.read_bytes())
    for *outer, last in list_places(whole):
        changed = copy.deepcopy(whole)
        inner = changed
        for key in outer:
            inner = inner[key]
        inner[last] = value
        note.write_text(json.dumps(changed))
        for temperature in (1.0, 0.7):
            with contextlib.suppress(DfgenError):
                list(make_examples(folder, "grpo", temperature=temperature, say=str))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    folder = write_groups(tmp_path / "g", [[RIGHT, WRONG]])
    (folder / FILE).rename(folder / "other.parquet")
    with pytest.raises(DamagedFileError, match="file of the data set is missing"):
        open_examples(folder)


def test_a_changed_picture_is_refused(tmp_path: Path) -> None:
    """One byte of a picture, which is stored as it is; the file stays valid Parquet."""
    folder = write_groups(tmp_path / "g", [[RIGHT, WRONG]])
    raw = (folder / FILE).read_bytes()
    assert b"picture 0" in raw
    (folder / FILE).write_bytes(raw.replace(b"picture 0", b"picture 1"))
    with pytest.raises(DamagedFileError, match="pictures, masks or ids were changed"):
        list(open_examples(folder))
    (folder / FILE).write_bytes(raw + b" ")
    with pytest.raises(DamagedFileError, match=r"bytes; dfgen\.json says"):
        list(open_examples(folder))


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = write_groups(tmp_path / "g", [[RIGHT, WRONG]])
    assert open_examples(folder, tokenizer=TOKENIZER).tokenizer_sha256 == TOKENIZER
    with pytest.raises(InputError, match="dfgen retokenize RUN --tokenizer"):
        open_examples(folder, tokenizer="b" * 64)
    with pytest.raises(InputError, match="no sha256"):
        open_examples(folder, tokenizer="Qwen/Qwen2.5-VL-7B-Instruct")
    with pytest.raises(InputError, match="object is no fast tokenizer"):
        open_examples(folder, tokenizer=object())
    unnamed = write_groups(tmp_path / "h", [[RIGHT, WRONG]], tokenizer="", manifest=False)
    with pytest.raises(InputError, match="nobody noted"):
        open_examples(unnamed, tokenizer=TOKENIZER)


def test_the_policys_own_tokenizer_is_taken(exported: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(resolve_model("demo:policy"))
    assert (
        hash_tokenizer(tokenizer) == open_examples(exported, tokenizer=tokenizer).tokenizer_sha256
    )


STORED = [-0.1] * 4
TEMPERED = {"tempered_logprobs": STORED}


@pytest.mark.parametrize(
    ("sampled", "trained", "columns", "recipe", "message"),
    [
        (0.7, 0.7, {}, "grpo", "log-probs at that temperature are not stored"),
        (1.0, 0.7, TEMPERED, "grpo", r"temperature is 0\.7, and the answers were sampled at 1\.0"),
        (0.7, 0.7, TEMPERED, "grpo+repair", r"not stored \(repair_tempered_logprobs\)"),
        (0.7, 0.0, TEMPERED, "grpo", "must be above 0"),
        (0.7, 0.7, TEMPERED, "grpo", None),
        (None, 0.7, TEMPERED, "df+repair", None),
        (0.7, 0.7, {}, "sft", None),
        (0.7, 1.0, {}, "grpo", None),
    ],
)
def test_temperatures(
    tmp_path: Path, sampled: Any, trained: float, columns: Any, recipe: str, message: str | None
) -> None:
    group = [{**RIGHT, **columns}, {**REPAIRED, **columns}]
    folder = write_groups(tmp_path / "g", [group], temperature=sampled)
    if message:
        with pytest.raises(InputError, match=message):
            open_examples(folder, recipe, temperature=trained)
        return
    (first, *_) = open_examples(folder, recipe, temperature=trained)
    assert first.old_logprobs is None or first.old_logprobs.tolist() == pytest.approx(
        STORED if trained != 1 else [-0.5] * 4
    )
    assert (first.old_logprobs is None) == (recipe == "sft")


def test_what_is_not_known_of_logprobs_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    bare = {"logprobs": None}
    folder = write_groups(tmp_path / "g", [[{**RIGHT, **bare}, {**REPAIRED, **bare}]])
    make_examples(folder, "grpo+repair", say=said.append)
    assert "2 answers that are trained by ratio have no old log-probs" in said[0]
    assert "1 repairs that are trained by ratio have no old log-probs" in said[0]
    folder = write_groups(tmp_path / "h", [[RIGHT, {**REPAIRED, **bare}]], temperature=0.7)
    make_examples(folder, "df+repair", say=said.append)
    assert "1 answers that are trained by ratio have no old log-probs" in said[1]
    assert "sampled at temperature 0.7 and are trained at 1" in said[1]
    folder = write_groups(tmp_path / "i", [[RIGHT, WRONG]])
    make_examples(folder, "df+repair", say=said.append)
    assert "og-probs" not in said[2]


def test_soft_masks_that_were_never_computed_are_refused(tmp_path: Path) -> None:
    folder = write_groups(tmp_path / "g", [[RIGHT, REPAIRED]])
    with pytest.raises(InputError, match=r"(?s)column weights, which is empty.*dfgen score"):
        open_examples(folder, RECIPES["df"].change(weights=True))


class Processor:
    """What a processor says of its placeholder."""

    sha256 = TOKENIZER
    image_token_id = 77
    video_token_id = None


def test_a_placeholder_in_an_answer_is_left_out(tmp_path: Path) -> None:
    group = [
        RIGHT,
        make_answer([5, 77, 6], 0.0, [True] * 3, [1, 77]),
        make_answer([5, 6, 7], 0.0, [True] * 3, [1, 77]),
        make_answer([77], 0.0, [True], [1, 2]),
    ]
    folder = write_groups(tmp_path / "g", [group])
    examples = open_examples(folder, tokenizer=Processor())
    assert [(e.trajectory_id, e.kind) for e in examples] == [
        ("p0000-0", "right"),
        ("p0000-2", "failed"),
        ("p0000-3", "repair"),
    ]
    assert len(examples) == 3
    assert examples.summary.blocked == 2
    reasons = examples.summary.left_out
    assert reasons["repairs: they hold a picture's placeholder"] == 2
    whole = open_examples(folder, tokenizer=Processor(), keep_zero=True)
    assert len(list(whole)) == len(whole) == 3
    # Their rewards are known, and stay in the baseline.
    assert next(iter(examples)).advantages[0] == pytest.approx(0.75 / 0.5, rel=1e-3)


def test_placeholders_are_found_where_models_name_them() -> None:
    class Model:
        config = Processor()

    assert find_picture_ids(Processor()) == find_picture_ids(Model()) == (77,)
    assert find_picture_ids(None) == find_picture_ids(TOKENIZER) == ()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"logprobs": [-1.0] * 3}, "logprobs of p0000-1 has 3 entries where there are 4 tokens"),
        ({"loss_mask": [True] * 5}, "p0000-1 has 4 entries where there are 5 tokens"),
        ({"loss_mask": None}, "no mask"),
        ({"loss_mask": [True, None, True, True]}, "loss_mask holds a null"),
        ({"completion_ids": [1, None, 2, 3]}, "completion_ids holds a null"),
        ({"repair_mask": [True]}, "repair_mask of p0000-1 has 1 entries"),
        ({"repair_mask": None}, "no mask of its repair"),
        ({"reward": float("nan")}, "reward nan"),
        ({"weights": [1.0]}, "weights of p0000-1 has 1 entries"),
    ],
)
def test_lists_that_do_not_fit_are_refused(tmp_path: Path, changed: Any, message: str) -> None:
    group = [{**RIGHT, "weights": [1.0] * 4}, {**REPAIRED, **changed}]
    with pytest.raises(DamagedFileError, match=message):
        list(
            open_examples(
                write_groups(tmp_path / "g", [group]), RECIPES["df+repair"].change(weights=True)
            )
        )


def test_files_of_several_tokenizers_are_refused(tmp_path: Path) -> None:
    one = write_groups(tmp_path / "g", [[RIGHT]], manifest=False)
    other = write_groups(tmp_path / "h", [[RIGHT]], tokenizer="b" * 64, manifest=False)
    (other / FILE).rename(one / "train-00001-of-00002.parquet")
    with pytest.raises(InputError, match="different tokenizers"):
        open_examples(one)


def test_several_files_are_read_in_order(tmp_path: Path) -> None:
    folder = write_groups(tmp_path / "g", [[RIGHT, WRONG]])
    more = write_groups(tmp_path / "h", [[RIGHT, REPAIRED]], first=1)
    second = folder / "train-00001-of-00002.parquet"
    (more / FILE).rename(second)
    write_manifest(folder, [folder / FILE, second], 2)
    assert [e.kind for e in open_examples(folder)] == [
        "right",
        "failed",
        "right",
        "failed",
        "repair",
    ]


def test_numpy_and_pyarrow_are_enough(exported: Path) -> None:
    """Of `pip install --no-deps` beside a trainer nothing else can be counted on."""
    code = f"""
import sys
banned = ("pydantic", "datasets", "transformers", "torch", "huggingface_hub", "yaml", "click",
          "tokenizers", "rich", "aiohttp", "rapidfuzz", "PIL", "math_verify", "pandas")
class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in banned:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Wall())
import dfgen.trainers.checks, dfgen.trainers.rounds, dfgen.trainers.denominators
from dfgen.trainers.examples import make_examples
from dfgen.trainers.manifest import read_manifest
print(len(list(make_examples({str(exported)!r}, "df+repair", say=None))))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert int(result.stdout) > 10
