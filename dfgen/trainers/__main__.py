"""Prints where the plugin file of a trainer is: python -m dfgen.trainers swift."""

from __future__ import annotations

import sys
from pathlib import Path

PLUGINS = {"swift": "dfgen_swift.py", "openrlhf": "dfgen_openrlhf.py"}


def find_plugin(trainer: str) -> Path:
    """Return the file that this trainer loads by path."""
    return Path(__file__).with_name("plugins") / PLUGINS[trainer]


def main(arguments: list[str]) -> int:
    """Print the path that belongs to one name; 2 for anything else."""
    if len(arguments) != 1 or arguments[0] not in PLUGINS:
        print(f"usage: python -m dfgen.trainers {'|'.join(PLUGINS)}", file=sys.stderr)
        return 2
    print(find_plugin(arguments[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
