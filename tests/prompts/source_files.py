"""Writing small sources, and reading them back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dfgen.config.prompts import PromptsConfig
from dfgen.prompts.reading import read_prompts
from dfgen.records import Prompt, Reject


def write_lines(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def read(**settings: Any) -> list[Prompt | Reject]:
    return list(read_prompts(PromptsConfig(**settings)))


def prompts(**settings: Any) -> list[Prompt]:
    rows = read(**settings)
    assert all(isinstance(row, Prompt) for row in rows), rows
    return [row for row in rows if isinstance(row, Prompt)]


def rejects(**settings: Any) -> list[Reject]:
    return [row for row in read(**settings) if isinstance(row, Reject)]
