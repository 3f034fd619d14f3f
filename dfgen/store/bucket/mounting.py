"""Lets a staging directory stand for a run in a bucket: finds a free one and makes it a `Mount`.

    STAGING/my-bucket+runs+demo-1f0c…/0/run/         what a run directory holds, as far as needed
                                       /mirror.jsonl which of it the bucket has
                                       /set-aside/   what another machine had made out of date
                                       /lock         held by the process that uses it

A staging directory is used by one process at a time; another process on the same machine takes the
next one (`1/`, `2/`, ...), or one that holds what could not be sent.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

from dfgen.config.pipeline import Pipeline
from dfgen.store.bucket.address import Address, parse_address
from dfgen.store.bucket.mirror import Mirror, write_marker
from dfgen.store.bucket.mirror_log import MirrorLog
from dfgen.store.bucket.objects import hash_key
from dfgen.store.bucket.opening import open_objects
from dfgen.store.bucket.segments import Pace, Paces
from dfgen.store.layout import JOURNAL
from dfgen.store.mounts import MARKER, add_mount, find_mount
from dfgen.store.os_errors import explain_os_errors
from dfgen.store.shared.bucket_files import BucketFiles

STAGING = "DFGEN_STAGING"
"""Environment variable: the folder of all staging directories."""

_HELD: dict[Path, int] = {}
"""Descriptors of the locks of the staging directories that this process uses."""


def find_staging() -> Path:
    """Return the folder of all staging directories: `$DFGEN_STAGING`, or in the user's cache."""
    set_here = os.environ.get(STAGING)
    if set_here:
        return Path(set_here).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser().absolute() / "dfgen" / "staging"


def mount(text: str) -> Mirror:
    """Mount the run at an address, or the place where one is to begin.

    Raises:
        InputError: it is no address.
        MissingExtraError: the store's package is not installed.
        StorageError: the bucket or the staging directory refuses.
    """
    address = parse_address(text)
    there = next((m for m in _list_mirrors() if m.address == str(address)), None)
    if there is not None:
        return there
    objects = open_objects(address)
    base = _take_base(address)
    mirror = Mirror(objects, base, alone=True)
    with explain_os_errors(base, "write"):
        write_marker(base / MARKER, str(address))
        mirror.refresh()
    _register(mirror)
    return mirror


def attach(root: Path) -> Mirror:
    """Mount a staging directory that the process uses which has started this one.

    Raises:
        StorageError: the bucket cannot be reached.
    """
    data = json.loads((root.parent / MARKER).read_text("utf-8"))
    mirror = Mirror(open_objects(parse_address(data["address"])), root.parent, alone=False)
    mirror.refresh()
    _register(mirror)
    return mirror


def share_files(root: Path, folder: str) -> BucketFiles:
    """Open files in a folder of a mounted run that several machines change safely.

    Raises:
        StorageError: the store cannot decide who comes first.
    """
    found = find_mount(root)
    assert isinstance(found, Mirror)
    return BucketFiles(found.objects, folder)


def set_pace(root: Path, pipeline: Pipeline) -> None:
    """Let the journals of a mounted run be sent as a pipeline says."""
    found = find_mount(root)
    if isinstance(found, Mirror):
        found.paces = choose_paces(pipeline)


def choose_paces(pipeline: Pipeline) -> Paces:
    """Say how often each journal is sent: often where its records were paid for."""
    config = pipeline.bucket
    paid = Pace(config.flush_paid_answers, config.flush_paid_seconds)
    usual = Pace(None, config.flush_seconds)
    policy, repairer = pipeline.policy, pipeline.repair.engine
    special = {}
    if policy is not None and policy.engine == "openai":
        special = dict.fromkeys(("sample", "retry", "score", "value"), paid)
    if repairer is not None and repairer.engine == "openai":
        special["repair"] = paid
    return Paces(usual, special)


_MIRRORS: list[Mirror] = []


def _list_mirrors() -> Iterator[Mirror]:
    return (mirror for mirror in _MIRRORS if find_mount(mirror.root) is mirror)


def _register(mirror: Mirror) -> None:
    _MIRRORS.append(mirror)
    add_mount(mirror)


def _take_base(address: Address) -> Path:
    """Take a staging directory that no living process uses; one with things to send first."""
    place = f"{address.bucket}/{address.folder}".replace("/", "+")[-100:]
    folder = find_staging() / f"{address.scheme}+{place}-{hash_key(str(address))}"
    with explain_os_errors(folder, "write"):
        folder.mkdir(parents=True, exist_ok=True)
        numbers = sorted(int(each.name) for each in folder.iterdir() if each.name.isdigit())
        waiting = [number for number in numbers if _has_unsent(folder / str(number))]
        for number in chain(waiting, numbers, count()):
            base = folder / str(number)
            if base not in _HELD and _lock_base(base):
                return base
    raise AssertionError("there is always a number more")


def _has_unsent(base: Path) -> bool:
    """Say whether a staging directory may hold what its bucket does not."""
    journals = any((base / "run" / JOURNAL).glob("*.jsonl"))
    return journals or bool(MirrorLog(base / "mirror.jsonl").pending)


def _lock_base(base: Path) -> bool:
    base.mkdir(exist_ok=True)
    descriptor = os.open(base / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    _HELD[base] = descriptor
    return True
