"""The first line of every module says what the module is for, in one voice."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.code_trees import parse_file

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "dfgen").rglob("*.py"))


def read_first_line(path: Path) -> str:
    return (ast.get_docstring(parse_file(path)) or "").partition("\n")[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_module_says_first_what_it_does(path: Path) -> None:
    """A verb ("Reads ..."), or a command, option or table of which the same is said."""
    line = read_first_line(path)
    assert re.match(r"(?:[A-Z][a-z]+s [^ ]|`[^`]+`: [a-z])", line), line
    assert len(line.split()) >= 5, line
    assert line.endswith((".", "?", ":")) or "``" in line, line


def test_no_two_modules_say_the_same() -> None:
    lines = [read_first_line(path) for path in MODULES]
    assert len(set(lines)) == len(lines)


def test_nothing_refers_to_what_a_reader_does_not_have() -> None:
    """Notes, plans and issues that are not in the repository."""
    hidden = re.compile(r"project's notes|house\.md|architecture\.md|\bissue \d|(?<![\w.])/work/")
    for folder in ("dfgen", "tests", "pipelines", "schemas"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".md", ".yaml"} and path != Path(__file__):
                assert not hidden.search(path.read_text("utf-8")), path
