"""One damaged file of what was set aside is named by `validate` and before a run begins."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dfgen.check.checking import find_problems
from dfgen.check.scope import Scope
from dfgen.store.redoing import begin_redo
from dfgen.store.run import Run
from dfgen.validate.path import validate_path
from tests.support.full_run import make_full_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_full_run(tmp_path_factory.mktemp("history") / "run")
    redone = Path(shutil.copytree(root, root.parent / "redone"))
    run = Run.open_or_create(redone, None)
    with run.lock():
        begin_redo(run, {"repair": [0]}, {"repair": [0]})
    # A run that was made anew and came out as it was.
    shutil.move(redone / "history", root / "history")
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def look(root: Path) -> tuple[list[str], list[str]]:
    """What `validate` says, and what is said before the repair stage begins."""
    pipeline = Run.open_or_create(root, None).read_pipeline()
    scope = Scope(pipeline, ["repair"], root, network=False, redone=["repair"])
    found = [str(each) for each in find_problems(scope) if "history" in str(each)]
    return validate_path(root, None).problems, found


def test_whole_history_is_no_problem(root: Path) -> None:
    assert (root / "history/0001/repairs/part-00000.parquet").exists()
    assert look(root) == ([], [])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def write_nonsense(path: Path) -> None:
    path.write_bytes(b"nonsense\n" * 9)


@pytest.mark.parametrize("name", ["repairs/part-00000", "controls/part-00000"])
@pytest.mark.parametrize("damage", [cut, write_nonsense])
def test_a_damaged_table_is_named_with_the_way_out(root: Path, name: str, damage: object) -> None:
    assert callable(damage)
    path = root / f"history/0001/{name}.parquet"
    damage(path)
    for problems in look(root):
        (problem,) = problems
        assert str(path) in problem
        assert f"delete {root / 'history/0001'}" in problem


def test_a_damaged_journal_is_named(root: Path) -> None:
    path = root / "history/0001/journal/repair-00000.jsonl"
    path.parent.mkdir(exist_ok=True)
    shutil.copy(next((root / "journal").glob("retry-*.jsonl")), path)  # of another stage
    for problems in look(root):
        assert any(str(path) in problem for problem in problems)


def test_validate_does_not_wait_on_a_pipe_in_history(root: Path) -> None:
    path = root / "history/0001/repairs/part-00000.parquet"
    make_pipe(path)
    assert any(str(path) in problem for problem in validate_path(root, None).problems)
