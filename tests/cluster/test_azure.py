"""Runs in a container of Azure's emulator: what is tested on an S3 server holds there, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import test_bucket, test_bucket_workers
from tests.cluster.bucket_jobs import BucketJob
from tests.support.azure_server import find_azurite, share_server
from tests.support.bucket_runs import forget_mounts, move_to
from tests.support.scripted_models import Models

pytestmark = pytest.mark.cluster
models = test_bucket.models


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty container; this machine stages in `tmp_path/here`."""
    pytest.importorskip("obstore", reason="make cluster-env installs it")
    if find_azurite() is None:
        pytest.skip("Azurite is not installed (make cluster-env, with npm)")
    server = share_server()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    move_to(tmp_path / "here", monkeypatch)
    yield server.make_container()
    forget_mounts()


def test_a_calm_run(container: str, tmp_path: Path, models: Models) -> None:
    test_bucket.test_a_calm_run_is_the_one_on_a_disk(container, tmp_path, models)


def test_it_is_read_from_anywhere(
    container: str, tmp_path: Path, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_bucket.test_a_finished_run_is_read_from_anywhere(container, tmp_path, models, monkeypatch)


def test_workers_share_it_and_one_is_killed(
    container: str,
    shared_bucket_job: BucketJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    test_bucket_workers.test_a_worker_is_killed_and_others_take_over(
        container, shared_bucket_job, tmp_path, monkeypatch
    )
