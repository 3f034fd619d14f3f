"""A small run of the demo's own models, drawn and repaired for real, that tests copy and score."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dfgen.config.pipeline import Pipeline
from dfgen.engines.base import Engine
from dfgen.engines.loading import load_engine
from tests.stages.score.running import make_pipeline, run_stages_of


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn at temperature 1."""
    return draw(tmp_path_factory.mktemp("score") / "plain")


@pytest.fixture(scope="session")
def cooled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn at temperature 0.7 with top-p, some cut off."""
    sample = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 39}
    return draw(tmp_path_factory.mktemp("score") / "cooled", sample=sample)


@pytest.fixture(scope="session")
def policy() -> Iterator[Engine]:
    config = make_pipeline().policy
    assert config is not None
    with closing(load_engine(config)) as engine:
        yield engine


@pytest.fixture
def root(plain: Path, tmp_path: Path) -> Path:
    """A copy of the run at temperature 1."""
    return Path(shutil.copytree(plain, tmp_path / "run"))


@pytest.fixture
def cool_root(cooled: Path, tmp_path: Path) -> Path:
    """A copy of the run at temperature 0.7."""
    return Path(shutil.copytree(cooled, tmp_path / "cool"))


def draw(root: Path, **changes: Any) -> Path:
    pipeline: Pipeline = make_pipeline(**changes)
    run_stages_of(root, pipeline, "prompts", "sample", "repair", "mask")
    return root
