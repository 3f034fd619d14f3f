"""Parses Python code for tests that look at it."""

from __future__ import annotations

import ast
from pathlib import Path

_TRIES = 10


def parse_code(text: str) -> ast.Module:
    """Parse code, anew where CPython 3.11 has mixed it up with a traceback.

    To print one it parses lines, too, and counts the depth of both in one place: in another thread,
    or in a finalizer that comes up meanwhile (python/cpython#106905, mended in 3.13).
    """
    for _ in range(_TRIES - 1):
        try:
            return ast.parse(text)
        except SystemError:
            continue
    return ast.parse(text)


def parse_file(path: Path) -> ast.Module:
    """Parse a module."""
    return parse_code(path.read_text("utf-8"))
