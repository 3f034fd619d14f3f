"""Runs its first argument as Python; for tests of how processes are started."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    exec(sys.argv[1])
