"""Waits for a state, not for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

LONGEST_S = 300.0
LOOK_S = 0.02
FORGOTTEN_S = 1800.0


def wait_until(
    condition: Callable[[], object],
    alive: Callable[[], object] = lambda: True,
    look_s: float = LOOK_S,
) -> None:
    """Return as soon as a condition holds.

    Args:
        alive: what must hold meanwhile, such as that a process runs; without it the wait is in
            vain.
        look_s: seconds between two looks: more where a look costs a process.

    Raises:
        AssertionError: it never held. Only a test that hangs waits so long, however busy the
            machine.
    """
    end = time.monotonic() + LONGEST_S
    while not condition():
        assert alive(), "it ended without"
        assert time.monotonic() < end, "it never happened"
        time.sleep(look_s)


def wait_while_there(path: Path) -> None:
    """Return once a file is gone: who has made it holds this process until it has seen enough.

    Raises:
        AssertionError: it stays. Who made it was killed, and this process is not to outlive it.
    """
    end = time.monotonic() + FORGOTTEN_S
    while path.exists():
        assert time.monotonic() < end, f"{path} stays"
        time.sleep(LOOK_S)
