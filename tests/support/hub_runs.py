"""Storage Buckets for runs, on the loopback Hub that this process talks to."""

from __future__ import annotations

import os
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
    for name, value in hub.environment(home).items():
        monkeypatch.setenv(name, value)
    read_environment(monkeypatch)


def read_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let huggingface_hub read the variables that it has read as it was imported once more."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", os.environ["HF_ENDPOINT"])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", os.environ["HF_HUB_OFFLINE"] == "1")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(Path(os.environ["HF_HOME"]) / "token"))
