"""A run takes what its source has more, keeps what it has, and names what is gone."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.config.pipeline import Pipeline
from dfgen.demo.scenes import iter_scenes
from dfgen.errors import RunMismatchError, StorageError
from dfgen.report.stats import measure_repairs
from dfgen.runners.local import run_stages
from dfgen.stages.progress import Silence
from dfgen.stages.repair.spending import SpentCount
from dfgen.stages.session import Session
from dfgen.status.run_status import measure_run
from dfgen.store.redoing import list_history
from dfgen.store.run import Run
from dfgen.store.shards import ShardTable
from dfgen.validate.audit import audit
from dfgen.validate.path import validate_path
from tests.support.killing import Killed, kill_before_write
from tests.support.scripted_models import Models, answer_by_index, make_pipeline

Row = dict[str, Any]


class Listener(Silence):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def tell(self, sentence: str) -> None:
        self.said.append(sentence)


def ask(number: int | str, **more: Any) -> Row:
    return {"question": f"What is thing {number}?", "answer": "fine", **more}


def write(folder: Path, rows: Iterable[Row], name: str = "questions.jsonl") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def make(folder: Path, rows: Iterable[Row], **prompts: Any) -> Pipeline:
    """A pipeline over these rows, in shards of three."""
    pipeline = make_pipeline(folder, prompts={"columns": {"solution": "solution"}, **prompts})
    write(folder, [ask("x", solution="s"), *rows])
    return pipeline


def read_source(root: Path, pipeline: Pipeline) -> list[str]:
    """Run the first stage; returns what it said."""
    listener = Listener()
    run = Run.open_or_create(root, pipeline)
    with run.lock():
        assert run_stages(Session(run, pipeline, listener), ("prompts",))
    assert audit(Run.open_or_create(root, None)) == []
    return listener.said


def list_questions(root: Path) -> list[list[str]]:
    """What the prompts of each shard ask about."""
    table = Run.open_or_create(root, None).table("prompts")
    return [
        [row["question"].removeprefix("What is thing ")[:-1] for row in table.iter_rows(shard)]
        for shard in table.shards()
    ]


def list_rejects(root: Path) -> dict[str, str]:
    rows = Run.open_or_create(root, None).rejects("prompts").iter_rows()
    return {row["row_id"]: row["reason"] for row in rows}


def read_all(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*.parquet"))}


def test_a_higher_limit_and_new_rows_become_new_shards(tmp_path: Path) -> None:
    root, rows = tmp_path / "run", [ask(i) for i in range(9)]
    assert read_source(root, make(tmp_path, rows, limit=4)) == []
    assert list_questions(root) == [["x", "0", "1"], ["2"]]
    before = read_all(root)
    said = read_source(root, make(tmp_path, rows, limit=8))
    assert said == ["4 new prompts in 2 shards; 4 were there"]
    assert list_questions(root) == [["x", "0", "1"], ["2"], ["3", "4", "5"], ["6"]]
    said = read_source(root, make(tmp_path, [*rows, ask(9)]))
    assert said == ["3 new prompts in 1 shard; 8 were there"]
    assert list_questions(root)[-1] == ["7", "8", "9"]
    assert {name: read_all(root)[name] for name in before} == before
    again = make(tmp_path, [*rows, ask(9)])
    os.utime(tmp_path / "questions.jsonl", (0, 0))
    assert read_source(root, again) == [], "nothing to read"
    counts = Run.open_or_create(root, None).manifest.get_stage("prompts").counts
    assert counts == {"input": 11, "output": 11, "rejects": 0}


def test_a_lower_limit_takes_nothing_away(tmp_path: Path) -> None:
    root, rows = tmp_path / "run", [ask(i) for i in range(5)]
    read_source(root, make(tmp_path, rows))
    for wish in ("keep", "drop"):
        said = read_source(root, make(tmp_path, rows, limit=2, missing=wish))
        assert said[0] == "no new prompts; 6 were there"
        assert "4 prompts of the run not met" in said[1] and "kept" in said[1]
        assert sum(map(len, list_questions(root))) == 6


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_a_second_file_is_added_wherever_it_stands(tmp_path: Path, order: tuple[str, str]) -> None:
    """Rejects get other names with it: each is there once, under the name of today."""
    root = tmp_path / "run"
    broken, twice = {"question": "?", "answer": ""}, ask(0)
    write(tmp_path / "a", [ask(0), broken, twice, ask(1)])
    write(tmp_path / "b", [ask(2), broken, ask(1), ask(3)])
    one = make_pipeline(tmp_path, prompts={"path": str(tmp_path / "a")})
    read_source(root, one)
    assert list_rejects(root) == {
        "questions.jsonl:2": "answer_missing",
        "questions.jsonl:3": "duplicate",
    }
    paths = [str(tmp_path / name) for name in order]
    said = read_source(root, make_pipeline(tmp_path, prompts={"path": paths}))
    assert "2 new prompts in 1 shard; 2 were there" in said
    assert list_questions(root) == [["0", "1"], ["2", "3"]]
    assert list_rejects(root) == {
        "a/questions.jsonl:2": "answer_missing",
        "a/questions.jsonl:3": "duplicate",
        "b/questions.jsonl:2": "answer_missing",
        # Whichever of the two is read second.
        **({"b/questions.jsonl:3": "duplicate"} if order[0] == "a" else {}),
        **({"a/questions.jsonl:4": "duplicate"} if order[0] == "b" else {}),
    }


def test_missing_and_changed_prompts_are_named_and_kept(tmp_path: Path) -> None:
    root = tmp_path / "run"
    old = [ask("0 \x1b[31m"), *(ask(i, solution="old") for i in range(1, 8))]
    read_source(root, make(tmp_path, old))
    before = list_questions(root)
    now = [ask("0"), ask(1, solution="new"), ask(2, solution="old"), ask(9)]
    said = read_source(root, make(tmp_path, now))
    assert said[0] == "2 new prompts in 1 shard; 9 were there"
    assert said[1].startswith("6 prompts of the run are not in the source any more (kept;")
    assert said[2] == "  questions.jsonl:2: What is thing 0 \u241b[31m?"
    assert said[7] == "  and 1 more"
    assert said[8].startswith("1 prompt of the run is in the source with another solution")
    assert said[9:] == ["  questions.jsonl:3: What is thing 1?"]
    assert list_questions(root) == [*before, ["0", "9"]]
    facts = Run.open_or_create(root, None).manifest.get_stage("prompts").facts["absent"]
    assert (facts["missing"]["count"], facts["changed"]["count"], facts["kept"]) == (6, 1, True)


def test_a_source_that_has_none_of_the_prompts_is_refused_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    root = tmp_path / "run"
    read_source(root, make(tmp_path, [ask(0)]))
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    write(tmp_path, [ask(i, solution="s") for i in range(5, 9)])
    other = make_pipeline(tmp_path / "other", prompts={"path": str(tmp_path / "questions.jsonl")})
    with pytest.raises(RunMismatchError) as caught:
        read_source(root, other)
    message = str(caught.value)
    assert "none of the 2 prompts of this run" in message and "What is thing x?" in message
    assert "prompts.path: [OLD, NEW]" in message and "prompts.missing=keep" in message
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    changed = other.model_dump(mode="json")
    changed["prompts"]["missing"] = "drop"
    with pytest.raises(RunMismatchError, match="none of the 2 prompts"):
        read_source(root, Pipeline.model_validate(changed))
    changed["prompts"]["missing"] = "keep"
    read_source(root, Pipeline.model_validate(changed))
    assert list_questions(root) == [["x", "0"], ["5", "6", "7"], ["8"]]


def test_settings_that_forgive_let_rejects_become_prompts(tmp_path: Path) -> None:
    root = tmp_path / "run"
    rows = [ask(0, image=None), ask(1, images=[])]
    strict = {"images": {"min_per_prompt": 1}}
    read_source(root, make(tmp_path, rows, **strict))
    assert set(list_rejects(root).values()) == {"image_missing"}
    kept = len(list_questions(root))
    read_source(root, make(tmp_path, rows))
    assert list_rejects(root) == {}
    assert list_questions(root)[kept:] == [["0", "1"]]
    read_source(root, make(tmp_path, rows, **strict))
    assert sum(map(len, list_questions(root))) == 3


def draw(root: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Models:
    models = Models(
        answer_by_index(["fine", "poor", "odd", "fine"]), {"poor": ["fine"], "odd": ["fine"]}
    )
    with monkeypatch.context() as patch:
        models.run(root, pipeline, patch)
    assert audit(Run.open_or_create(root, None)) == []
    return models


def test_only_new_prompts_are_paid_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, rows = tmp_path / "run", [ask(i) for i in range(6)]
    draw(root, make(tmp_path, rows[:3]), monkeypatch)
    before = read_all(root)
    models = draw(root, make(tmp_path, rows), monkeypatch)
    assert len(models.drawn) == 3 * 4 and set(models.drawn.values()) == {1}
    assert {name: read_all(root)[name] for name in before} == before
    run = Run.open_or_create(root, None)
    assert {run.manifest.get_stage(stage).state for stage in run.stages} == {"done"}


def test_later_stages_have_something_to_do_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "run"
    draw(root, make(tmp_path, [ask(0)]), monkeypatch)
    read_source(root, make(tmp_path, [ask(0), ask(1)]))
    run = Run.open_or_create(root, None)
    states = {stage: run.manifest.get_stage(stage).state for stage in run.stages}
    assert states == {
        "prompts": "done",
        "sample": "running",
        "repair": "running",
        "mask": "running",
    }


def read_rows(root: Path) -> dict[str, list[Row]]:
    """All rows of all tables, sorted by key, whatever shard they are in."""
    run = Run.open_or_create(root, None)
    found: dict[str, list[Row]] = {}
    for stage in run.stages:
        found[stage] = [{**row, "source": None} for row in run.output(stage).iter_rows()]
        found[f"{stage} rejects"] = list(run.rejects(stage).iter_rows())
    for rows in found.values():
        rows.sort(key=lambda row: str(row.get("trajectory_id") or row["prompt_id"]))
    return found


def test_dropped_prompts_leave_nothing_behind_and_cost_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, rows = tmp_path / "run", [ask(i, solution="old") for i in range(6)]
    draw(root, make(tmp_path, rows), monkeypatch)
    now = [*rows[1:3], ask(9)]
    models = draw(root, make(tmp_path, now, missing="drop"), monkeypatch)
    assert len(models.drawn) == 4, "those of the new prompt"
    assert list_questions(root) == [["x", "1"], ["2"], [], ["9"]]
    draw(tmp_path / "calm", make(tmp_path, now), monkeypatch)
    assert read_rows(root) == read_rows(tmp_path / "calm")
    assert not draw(root, make(tmp_path, now, missing="drop"), monkeypatch).drawn


def test_what_was_paid_for_dropped_prompts_is_kept_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, rows = tmp_path / "run", [ask(i) for i in range(6)]
    draw(root, make(tmp_path, rows), monkeypatch)
    run = Run.open_or_create(root, None)
    spent, before = SpentCount().count(run), read_rows(root)
    assert spent.requests == 14
    said = read_source(root, make(tmp_path, [*rows[1:3]], missing="drop"))
    assert "dropped; what was made of them is kept in history/" in said[1]
    run = Run.open_or_create(root, None)
    assert SpentCount().count(run).cost_usd == pytest.approx(spent.cost_usd)
    assert measure_run(root).spending.requests == 14
    numbers = measure_repairs(run)
    assert numbers["requests_with_set_aside"] == 14 and numbers["attempts"] == 6
    assert numbers["cost_usd_with_set_aside"] == pytest.approx(spent.cost_usd)
    for stage in ("sample", "repair"):  # every row is in the run or in its history, once
        table = run.output(stage)
        kept = [
            row
            for folder in list_history(run)
            for row in ShardTable(folder / table.directory.name, table.model).iter_rows()
        ]
        both = [row["trajectory_id"] for row in [*table.iter_rows(), *kept]]
        assert sorted(both) == [row["trajectory_id"] for row in before[stage]]
    assert validate_path(root, None).problems == []


def test_changed_prompts_are_named_and_never_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, rows = tmp_path / "run", [ask(i, solution="old") for i in range(4)]
    draw(root, make(tmp_path, rows), monkeypatch)
    before = read_all(root)
    now = [ask(i, solution="new") for i in range(4)]
    said = read_source(root, make(tmp_path, now, missing="drop"))
    assert said[1].startswith("4 prompts of the run are in the source with another solution")
    assert "kept as it was; `--redo prompts:0,1`" in said[1]
    assert read_all(root) == before


@pytest.mark.parametrize("first", ["keep", "drop"])
def test_nothing_is_dropped_while_a_refused_row_may_be_what_is_missing(
    tmp_path: Path, first: str
) -> None:
    root, broken = tmp_path / "run", {"question": "?", "answer": ""}
    rows = [broken, *(ask(i) for i in range(4))]
    read_source(root, make(tmp_path, rows))
    before = list_questions(root)
    damaged = [*rows[:3], broken, rows[4]]
    read_source(root, make(tmp_path, damaged, missing=first))
    # The refused row is on record now, and may be the missing prompt as before.
    for more in ([], [ask(8)]):
        said = read_source(root, make(tmp_path, [*damaged, *more], missing="drop"))
        if first == "keep" or more:
            assert "kept: 1 refused row of the source may be among them" in said[1]
            assert "missing=keep" in said[1]
            assert f"dfgen inspect {root} --rejects" in said[1]
        assert [name for shard in before for name in shard] == [
            name for shard in list_questions(root) for name in shard if name != "8"
        ]
    said = read_source(root, make(tmp_path, [*rows[:3], rows[4], ask(8)], missing="drop"))
    assert said[1].startswith("1 prompt of the run is not in the source any more (dropped; ")
    assert [name for shard in list_questions(root) for name in shard] == ["x", "0", "1", "3", "8"]


@pytest.mark.parametrize("wish", ["keep", "drop"])
def test_growth_that_is_killed_at_any_write_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wish: str
) -> None:
    rows = [{"question": "?", "answer": ""}, *(ask(i, solution="old") for i in range(6))]
    now = [*rows[2:5], ask(5, solution="new"), *(ask(i) for i in range(10, 15))]
    # A refused row at another place may be a prompt that is missing: nothing would be dropped.
    now.insert(0 if wish == "drop" else len(now), rows[0])

    base, calm = tmp_path / "base", tmp_path / "calm"
    draw(base, make(tmp_path, rows), monkeypatch)
    pipeline = make(tmp_path, now, missing=wish)
    shutil.copytree(base, calm)
    said = read_source(calm, pipeline)
    moment, broken = 0, True
    while broken:
        root = tmp_path / f"killed-{moment}"
        shutil.copytree(base, root)
        with monkeypatch.context() as patch:
            kill_before_write(patch, moment, manifest=False)
            try:
                read_source(root, pipeline)
                broken = False
            except Killed:
                assert Run.open_or_create(root, None).manifest.get_stage("prompts").state != "done"
        assert not broken or said[0] in read_source(root, pipeline)
        assert read_all(root) == read_all(calm), moment
        moment += 1
    assert moment > 6


numbers = st.lists(st.integers(0, 7), max_size=8)


@settings(deadline=None, max_examples=25)
@given(
    steps=st.lists(st.tuples(numbers, st.sampled_from(["keep", "drop"])), min_size=1, max_size=5)
)
def test_whatever_becomes_of_a_source(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[list[int], str]]
) -> None:
    """Odd numbers have no answer and are rejects; the run has what a set would have."""
    folder = tmp_path_factory.mktemp("growth")
    root, expected = folder / "run", set[str]()
    for asked, wish in steps:
        rows = [ask(i) if i % 2 == 0 else {"question": str(i), "answer": ""} for i in asked]
        said = "\n".join(read_source(root, make(folder, rows, missing=wish)))
        now = {"x", *(str(i) for i in asked if i % 2 == 0)}
        withheld = "may be among them" in said
        assert not withheld or any(i % 2 for i in asked)
        expected = expected | now if wish == "keep" or withheld else now
        found = [name for shard in list_questions(root) for name in shard]
        assert sorted(found) == sorted(expected)
        reasons = list(list_rejects(root).values())
        assert reasons.count("answer_missing") == sum(i % 2 for i in asked)
        twice = len([i for i in asked if i % 2 == 0]) - len(now - {"x"})
        assert reasons.count("duplicate") == twice


def test_a_shard_that_was_taken_away_is_read_again(tmp_path: Path) -> None:
    root, rows = tmp_path / "run", [ask(i) for i in range(7)]
    pipeline = make(tmp_path, rows[:4])
    read_source(root, pipeline)
    pipeline = make(tmp_path, rows)
    read_source(root, pipeline)
    before = read_all(root)
    Run.open_or_create(root, None).table("prompts").remove(1)
    said = read_source(root, pipeline)
    assert read_all(root) == before
    assert said


def test_a_full_disk_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, rows = tmp_path / "run", [ask(i) for i in range(9)]
    read_source(root, make(tmp_path, rows[:2]))
    pipeline = make(tmp_path, rows)
    real = Session.finish_shard

    def fail(session: Session, stage: str, shard: int, *rest: Any, **options: Any) -> None:
        if shard == 2:
            raise StorageError("no space left.")
        real(session, stage, shard, *rest, **options)

    monkeypatch.setattr(Session, "finish_shard", fail)
    with pytest.raises(StorageError):
        read_source(root, pipeline)
    assert audit(Run.open_or_create(root, None)) == []
    monkeypatch.setattr(Session, "finish_shard", real)
    assert read_source(root, pipeline) == ["7 new prompts in 3 shards; 3 were there"]


@pytest.mark.parametrize("where", ["beside", "root", "absolute"])
def test_a_picture_that_is_put_in_place_later_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Its row becomes a prompt; nothing else is read as anything else, drawn or written anew."""
    root, pictures = tmp_path / "run", tmp_path / "pictures"
    pictures.mkdir()
    more: Row = {"image_root": str(pictures)} if where == "root" else {}
    folder = {"root": "", "beside": "pictures/", "absolute": f"{pictures}/"}[where]
    rows = [ask(i, image=f"{folder}{i}.png") for i in range(4)]
    scenes = [scene.image_png for scene in iter_scenes(4, 3)]
    for number in (0, 2):
        (pictures / f"{number}.png").write_bytes(scenes[number])
    pipeline = make(tmp_path, rows, **more)
    draw(root, pipeline, monkeypatch)
    assert list(list_rejects(root).values()) == ["image_missing"] * 2
    before = {name: data for name, data in read_all(root).items() if "rejects" not in name}
    # As long as there is no such file, the source is not read again: of an absolute path the run
    # does not know where it leads.
    said = read_source(root, pipeline)
    assert said == (["no new prompts; 3 were there"] if where == "absolute" else [])
    (pictures / "3.png").write_bytes(scenes[3])
    assert read_source(root, pipeline)[0] == "1 new prompt in 1 shard; 3 were there"
    assert list(list_rejects(root)) == ["questions.jsonl:3"]
    models = draw(root, pipeline, monkeypatch)
    assert len(models.drawn) == 4
    assert {name: read_all(root)[name] for name in before} == before
