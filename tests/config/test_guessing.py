"""One function guesses what a misspelt name meant; everybody asks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.errors import guess_name

PACKAGE = Path(__file__).parents[2] / "dfgen"
CASES = [
    ("samle", ["run", "sample", "repair"], 0.6, "sample"),
    ("sample", ["run", "sample"], 0.6, "sample"),
    ("zzz", ["run", "sample"], 0.6, None),
    ("", ["run", "sample"], 0.6, None),
    ("run", [], 0.6, None),
    ("img", ["image", "answer"], 0.6, "image"),
    ("pic", ["picture"], 0.9, None),
    ("\u00e9t\u00e9", ["ete", "\u00e9te"], 0.6, "\u00e9te"),
]


@pytest.mark.parametrize(("wrong", "known", "likeness", "meant"), CASES)
def test_guess(wrong: str, known: list[str], likeness: float, meant: str | None) -> None:
    assert guess_name(wrong, known, likeness=likeness) == meant
    assert guess_name(wrong, dict.fromkeys(known), likeness=likeness) == meant


def test_nobody_guesses_for_himself() -> None:
    users = [path for path in PACKAGE.rglob("*.py") if "get_close_matches" in path.read_text()]
    assert users == [PACKAGE / "errors.py"]
