"""A disk that is soon full: a tmpfs of its own, for which this process must be root."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mount_disk(target: Path, kib: int) -> Iterator[Path]:
    """Mount a file system of so many KiB; skips the test where mounting is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    target.mkdir()
    if libc.mount(b"tmpfs", bytes(target), b"tmpfs", 0, f"size={kib}k".encode()) != 0:
        pytest.skip("mounting a tmpfs needs root")
    try:
        yield target
    finally:
        libc.umount2(bytes(target), 2)


def fill(disk: Path, leave: int) -> Path:
    """Take all room but `leave` bytes; what takes it is returned."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
        file.truncate(max(0, ballast.stat().st_size - leave))
    return ballast
