"""A Storage Bucket on a loopback Hub, and a run that lies on a disk to compare with."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.bucket_jobs import BucketJob, make_bucket_job
from tests.support.bucket_runs import forget_mounts, move_to
from tests.support.bucket_worker import REPAIRS, WORDS
from tests.support.hub import HubStub
from tests.support.hub_runs import make_bucket, talk_to
from tests.support.scripted_models import Models, answer_by_index


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStub]:
    """The Hub that this process talks to, where obstore is not installed."""
    for name in ("obstore", "obstore.store"):
        monkeypatch.setitem(sys.modules, name, None)
    with HubStub(tmp_path / "hub", xet=True) as stub:
        talk_to(stub, tmp_path / "home", monkeypatch)
        yield stub


@pytest.fixture
def bucket(hub: HubStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty bucket; this machine stages in `tmp_path/here`."""
    move_to(tmp_path / "here", monkeypatch)
    yield make_bucket(hub)
    forget_mounts()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let huggingface_hub try again at once."""
    import time
    from types import SimpleNamespace

    from huggingface_hub.utils import _http

    hurried = SimpleNamespace(**{**vars(time), "sleep": lambda seconds: None})
    monkeypatch.setattr(_http, "time", hurried)


@pytest.fixture(scope="session")
def bucket_job(tmp_path_factory: pytest.TempPathFactory) -> BucketJob:
    """A run in three shards."""
    return make_bucket_job(tmp_path_factory.mktemp("bucket"), 3)


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    models = Models(answer_by_index(WORDS), dict(REPAIRS))
    models.replace_engines(monkeypatch)
    return models
