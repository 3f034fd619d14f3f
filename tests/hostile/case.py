"""What a hostile case is: something done to dfgen in a folder of its own, and what must come of it.

    rejects ...     rows that became rejects, with their reasons, and the good row beside them
    error ...       one clear error (a `DfgenError`, or the command's exit code and first line)
    read ...        taken as it is, because it is odd and harmless

A traceback, a killed process or silence is never expected, so it fails whatever was.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.config.prompts import PromptsConfig
from dfgen.prompts.reading import read_prompts
from dfgen.records import Prompt, Reject
from dfgen.store.arrow_schema import arrow_schema

GOOD = {"question": "How many?", "answer": "3"}


@dataclass(frozen=True)
class Case:
    """One attack.

    Attributes:
        area: what is attacked.
        name: of the case, one line.
        attack: carries it out in an empty folder; returns the outcome.
        expected: a regular expression that the whole outcome matches.
        slow: takes seconds, so it is left out of the fast tests.
    """

    area: str
    name: str
    attack: Callable[[Path], str]
    expected: str
    slow: bool = False


def read_rows(**settings: Any) -> str:
    """Read a source and keep what comes of it, as a run would; names the reasons in order."""
    import pyarrow as pa

    prompts, reasons = 0, []
    for row in read_prompts(PromptsConfig(**settings)):
        pa.Table.from_pylist([row.model_dump()], arrow_schema(type(row)))
        if isinstance(row, Prompt):
            prompts += 1
        elif isinstance(row, Reject):
            assert len(row.detail) < 2000, "a detail for people is short"
            reasons.append(row.reason)
    if not reasons:
        return f"read {prompts} prompts"
    return f"rejects {', '.join(reasons)}; {prompts} prompts"


def write_rows(folder: Path, *rows: dict[str, Any], name: str = "rows.jsonl") -> Path:
    """Write rows as JSON Lines, and a good one after them."""
    file = folder / name
    with file.open("w", encoding="utf-8") as stream:
        for row in (*rows, GOOD):
            stream.write(json.dumps(row) + "\n")
    return file


def call(*arguments: str | Path) -> str:
    """Give a command; `read` if it ends well, else its exit code and what it says first."""
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert "Traceback" not in result.output
    raw = {c for c in result.output if not c.isprintable() and c not in "\n\t\r"}
    assert not raw, f"raw control characters: {raw!a}"
    if result.exit_code == 0:
        return "read by the command"
    lines = [line for line in result.output.splitlines() if "Error" in line]
    assert lines, f"exit {result.exit_code} in silence: {result.output[-300:]}"
    return f"error {result.exit_code}: {lines[0]:.200}"
