"""What the tests of clusters and buckets share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.bucket_jobs import BucketJob, make_bucket_job
from tests.cluster.runs import Job, make_job

PROMPTS = 20


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slurm's first: they take longest, and wait while others work."""
    items.sort(key=lambda item: item.path.name != "test_slurm.py")


@pytest.fixture(scope="session", autouse=True)
def hear_the_end() -> Iterator[None]:
    """Who ends the tests by SIGTERM ends the daemons and jobs that they have started, too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def served_job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A run whose repairer is behind a server."""
    return make_job(tmp_path_factory.mktemp("served"), PROMPTS, served=True)


@pytest.fixture(scope="session")
def local_job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A run whose workers hold the repairer themselves."""
    return make_job(tmp_path_factory.mktemp("local"), PROMPTS, served=False)


@pytest.fixture(scope="session")
def bucket_job(tmp_path_factory: pytest.TempPathFactory) -> BucketJob:
    """A run in three shards."""
    return make_bucket_job(tmp_path_factory.mktemp("bucket"), 3)


@pytest.fixture(scope="session")
def shared_bucket_job(tmp_path_factory: pytest.TempPathFactory) -> BucketJob:
    """A run in as many shards as it has prompts."""
    return make_bucket_job(tmp_path_factory.mktemp("shared-bucket"), 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that all nodes see."""
    return tmp_path


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty bucket; this machine stages in `tmp_path/here`."""
    pytest.importorskip("obstore", reason="make cluster-env installs it")
    pytest.importorskip("moto", reason="make cluster-env installs it")
    from tests.support.bucket_runs import forget_mounts, move_to
    from tests.support.s3_server import share_server

    server = share_server()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    move_to(tmp_path / "here", monkeypatch)
    yield server.make_bucket()
    forget_mounts()
