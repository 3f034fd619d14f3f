"""Prints where the file lies that a trainer is given as its plugin.

python -m dfgen.trainers swift
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from dfgen.errors import InputError, guess_name

ADAPTERS = {
    "trl": "TRL: DiffGRPOTrainer, in Python",
    "swift": "ms-swift: --external_plugins $(python -m dfgen.trainers swift)",
    "verl": "verl: found by itself (entry point verl.plugins)",
    "openrlhf": "OpenRLHF: --train.agent_func_path $(python -m dfgen.trainers openrlhf)",
    "slime": "slime: writer of rollouts, in Python",
    "tinker": "Tinker and SkyRL-tx: datums, in Python",
    "skyrl": "SkyRL: generator, in Python",
    "prime_rl": "prime-rl: advantage function, by its dotted path",
    "verifiers": "verifiers: message nodes, in Python",
}
"""By the name of the file, what to do with it."""


def find_adapter(name: str, folder: Path = Path(__file__).parent) -> Path:
    """Find the file that a trainer is given, or the module that is imported. Raises `InputError`.

    What a trainer loads by path lies in `plugins/`: some put the folder of such a file first on
    `sys.path`, where `swift.py` would hide ms-swift itself.
    """
    wanted = name.replace("-", "_")
    path = folder / f"{wanted}.py"
    if wanted not in ADAPTERS or not path.is_file():
        there = list_adapters(folder)
        close = guess_name(wanted, there)
        raise InputError(
            f"there is no adapter {name!r}; there are {', '.join(there)}.",
            hint=f"Did you mean {close!r}?" if close else None,
        )
    plugin = folder / "plugins" / f"dfgen_{wanted}.py"
    return plugin if plugin.is_file() else path


def list_adapters(folder: Path = Path(__file__).parent) -> list[str]:
    """List the adapters that this installation has."""
    return [name for name in ADAPTERS if (folder / f"{name}.py").is_file()]


def main(arguments: Sequence[str]) -> int:
    """Print a path, or the list; returns the exit code."""
    if len(arguments) > 1:
        print("usage: python -m dfgen.trainers [NAME]", file=sys.stderr)
        return 2
    if not arguments:
        for name in list_adapters():
            print(f"{name:10} {ADAPTERS[name]}")
        return 0
    try:
        print(find_adapter(arguments[0]))
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
