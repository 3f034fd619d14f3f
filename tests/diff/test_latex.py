"""LaTeX: commands are atoms, spelling is form, groups stay whole."""

from __future__ import annotations

import pytest

from dfgen.diff.atoms import split_atoms
from tests.diff.pairs import list_hunks, marked

ATOMS = [
    ("\\alpha_1", ["\\alpha", "_", "1"]),
    ("\\left( x \\right)", ["\\left", "(", "x", "\\right", ")"]),
    ("\\{a\\}", ["\\{", "a", "\\}"]),
    ("\\\\ a", ["\\\\", "a"]),
    ("x^{12}", ["x", "^", "{", "12", "}"]),
    ("$$a$$ $b$", ["$$", "a", "$$", "$", "b", "$"]),
    ("\\operatorname*{max}", ["\\operatorname*", "{", "max", "}"]),
    ("a-b = well-known", ["a", "-", "b", "=", "well-known"]),
]


@pytest.mark.parametrize(("text", "atoms"), ATOMS)
def test_atoms(text: str, atoms: list[str]) -> None:
    assert split_atoms(text).keys == atoms


FORM = [
    ("\\dfrac{x}{2}", "\\frac{x}{2}"),
    ("\\tfrac12 y", "\\frac{1}{2} y"),
    ("\\left( x \\right)", "( x )"),
    ("\\bigl( x \\bigr)", "( x )"),
    ("\\( x + 1 \\)", "$x + 1$"),
    ("x \\leq 3", "x \\le 3"),
    ("\\displaystyle x", "x"),
    ("a\\,b\\;c", "a b c"),
    ("\\mathrm{cm}", "\\text{cm}"),
]


@pytest.mark.parametrize(("wrong", "right"), FORM)
def test_spelling_is_form(wrong: str, right: str) -> None:
    for one, other in ((wrong, right), (right, wrong)):
        hunks = list_hunks(f"So {one} holds", f"So {other} holds")
        assert {kind for kind, _, _ in hunks} == {"for"}, hunks
        assert marked(one, other) == []


CONTENT = [
    ("\\sin x", "\\cos x", ["\\sin"]),
    ("x \\le 3", "x \\ge 3", ["\\le"]),
    ("x^{12} + 1", "x^{13} + 1", ["12"]),
    ("\\sqrt{3}", "\\sqrt{5}", ["3"]),
    ("2**3", "2*3", ["**"]),
    ("x is 3", "X is 3", ["x"]),  # a variable, not a word
    ("\\Delta x", "\\delta x", ["\\Delta"]),
]


@pytest.mark.parametrize(("wrong", "right", "expected"), CONTENT)
def test_content(wrong: str, right: str, expected: list[str]) -> None:
    assert marked(f"So {wrong} holds", f"So {right} holds") == expected
