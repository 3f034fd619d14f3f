"""Calls commands on runs of scripted models, and tells whether their files are still the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from click.testing import CliRunner, Result

from dfgen.cli.main import cli

CHECKED = ("run", "sample", "repair", "mask", "score")
"""Commands that look for models and servers before they begin."""


def invoke(*arguments: object, code: int = 0) -> Result:
    """Call a command, which must end with this code; there is no server to look for."""
    looked = ["--no-check"] if arguments[0] in CHECKED else []
    result = CliRunner().invoke(cli, [*map(str, arguments), *looked])
    assert result.exit_code == code, result.output
    return result


def hash_tables(root: Path, tables: Iterable[str]) -> dict[str, str]:
    """The sha256 of every Parquet file of some tables of a run, by its name."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for table in tables
        for path in sorted((root / table).glob("*.parquet"))
    }
