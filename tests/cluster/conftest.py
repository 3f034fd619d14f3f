"""What the tests of buckets share: a real S3 server, and a staging folder of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty bucket; this machine stages in `tmp_path/here`."""
    pytest.importorskip("obstore")
    pytest.importorskip("moto")
    from tests.support.bucket_runs import forget_mounts, move_to
    from tests.support.s3_server import share_server

    server = share_server()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    move_to(tmp_path / "here", monkeypatch)
    yield server.make_bucket()
    forget_mounts()
