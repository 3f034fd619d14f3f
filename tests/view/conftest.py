"""A run and a server of it that the tests of `dfgen view` share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sample_run import make_run
from tests.view.serving import serve


@pytest.fixture(scope="session")
def viewed_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 questions with 4 answers each, in three shards."""
    return make_run(tmp_path_factory.mktemp("viewed") / "run", prompts=120, samples=4, seed=5)


@pytest.fixture
def address(viewed_root: Path, tmp_path: Path) -> Iterator[str]:
    with serve(tmp_path / "marks.jsonl", viewed_root) as address:
        yield address
