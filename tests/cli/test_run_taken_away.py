"""A run that is deleted, renamed or replaced while a process works on it or looks at it.

It ends with one sentence, and not a byte of it goes into what lies in its place.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.config.pipeline import Pipeline
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.support.scripted_models import Models, answer_by_index, make_pipeline

WORDS = ["fine", "fair", "poor", "bad"]
REPAIRS = {"poor": ["fine"], "bad": ["fine"], "fair": ["fine"]}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return make_pipeline(tmp_path_factory.mktemp("taken"))


@pytest.fixture(scope="module")
def made(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run that has its prompts, and another, whole one."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        models = Models(answer_by_index(WORDS), REPAIRS)
        models.run(folder / "begun", pipeline, patch, ("prompts",))
        models.run(folder / "whole", pipeline, patch)
    return folder / "begun", folder / "whole"


def hash_all(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def delete(root: Path, _: Path) -> None:
    shutil.rmtree(root)


def rename(root: Path, _: Path) -> None:
    root.rename(root.with_name("moved"))


def replace(root: Path, other: Path) -> None:
    root.rename(root.with_name("moved"))
    shutil.copytree(other, root)


def empty(root: Path, _: Path) -> None:
    root.rename(root.with_name("moved"))
    root.mkdir()


@pytest.mark.parametrize("take_away", [delete, rename, replace, empty])
@pytest.mark.parametrize("when", ["drawn", "asked"])
@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared"])
def test_a_run_that_is_taken_away_at_work(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    made: tuple[Path, Path],
    take_away: Callable[[Path, Path], None],
    when: str,
    shared: bool,
) -> None:
    root = Path(shutil.copytree(made[0], tmp_path / "run"))
    models = Models(answer_by_index(WORDS), REPAIRS)
    models.replace_engines(monkeypatch)
    lie: dict[str, Any] = {}

    def strike() -> None:
        if not lie and getattr(models, when).total() > 5:
            take_away(root, made[1])
            lie["before"] = hash_all(root) if root.exists() else None

    answer = models.answer

    def answer_and_strike(request: Any) -> str:
        strike()
        return answer(request)

    models.answer = answer_and_strike
    real = Models.generate

    def generate(self: Models, requests: Any) -> Any:
        for results in real(self, requests):
            strike()
            yield results

    monkeypatch.setattr(Models, "generate", generate)
    arguments = ["run", str(root), "-q", "--no-check", *(["--shared"] if shared else [])]
    result = CliRunner().invoke(cli, arguments)
    assert lie, f"it was not taken away: {result.output}"
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output and len(result.output.splitlines()) <= 6
    assert str(root) in result.output
    if lie["before"] is None:
        assert not root.exists(), sorted(root.rglob("*"))
    else:
        assert hash_all(root) == lie["before"]
    if take_away is replace:
        assert audit(Run.open_or_create(root, None)) == []
