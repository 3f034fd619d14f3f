"""What the tests of clusters share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.runs import Job, make_job

PROMPTS = 20


@pytest.fixture(scope="session")
def served_job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A run whose repairer is behind a server."""
    return make_job(tmp_path_factory.mktemp("served"), PROMPTS, served=True)


@pytest.fixture(scope="session")
def local_job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A run whose workers hold the repairer themselves."""
    return make_job(tmp_path_factory.mktemp("local"), PROMPTS, served=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that all nodes see."""
    return tmp_path
