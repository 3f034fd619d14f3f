"""Runs in a bucket: what lies there, and another machine to go on from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pytest

from dfgen.store.bucket import mounting
from dfgen.store.bucket.address import parse_address
from dfgen.store.bucket.objects import Objects
from dfgen.store.bucket.opening import open_objects
from dfgen.store.mounts import remove_mount


def open_bucket(address: str) -> Objects:
    """Open what a run at an address consists of."""
    return open_objects(parse_address(address))


def hash_objects(address: str, tables: Iterable[str]) -> dict[str, str]:
    """The sha256 of every Parquet file of some tables of a run in a bucket, by its name."""
    objects, found = open_bucket(address), {}
    for table in tables:
        for each in objects.list(f"{table}/"):
            content = objects.get(each.key)
            assert content is not None
            if each.key.endswith(".parquet"):
                found[each.key] = hashlib.sha256(content[0]).hexdigest()
    return found


def list_keys(address: str) -> list[str]:
    """The names of all objects of a run."""
    return sorted(each.key for each in open_bucket(address).list())


def forget_mounts() -> None:
    """Let go of every staging directory, as a process does that ends."""
    import os

    for mirror in mounting._MIRRORS:
        remove_mount(mirror.root)
    mounting._MIRRORS.clear()
    for descriptor in mounting._HELD.values():
        os.close(descriptor)
    mounting._HELD.clear()


def move_to(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go on as if on another machine: with nothing of what was staged before."""
    forget_mounts()
    monkeypatch.setenv("DFGEN_STAGING", str(machine))
