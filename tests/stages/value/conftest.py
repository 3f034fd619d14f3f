"""A small run of the demo's own models, drawn and repaired for real, that tests copy and value."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dfgen.engines.base import Engine
from dfgen.engines.loading import load_engine
from tests.stages.score.running import run_stages_of
from tests.stages.value.running import make_pipeline


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight prompts of four answers in two shards."""
    root = tmp_path_factory.mktemp("value") / "run"
    run_stages_of(root, make_pipeline(), "prompts", "sample", "repair", "mask")
    return root


@pytest.fixture(scope="session")
def policy() -> Iterator[Engine]:
    config = make_pipeline().policy
    assert config is not None
    with closing(load_engine(config)) as engine:
        yield engine


@pytest.fixture
def root(drawn: Path, tmp_path: Path) -> Path:
    """A copy of the run."""
    return Path(shutil.copytree(drawn, tmp_path / "run"))
