"""Storage Buckets for runs, on the loopback Hub that this process talks to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.hub import HubStub
from tests.support.hub_store import Bucket

BUCKET = "alice/runs"


def make_bucket(hub: HubStub, name: str = BUCKET) -> str:
    """Make a private bucket; returns its address."""
    hub.state.buckets[name] = Bucket()
    return f"hf://buckets/{name}"


def talk_to(hub: HubStub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let huggingface_hub talk to this Hub in this process, which has imported it already."""
    from huggingface_hub import constants

    for name, value in hub.environment(home).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
