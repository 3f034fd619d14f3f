"""Names of run directories that shells, globs, addresses and pages could take for something."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dfgen.config.pipeline import Pipeline
from dfgen.store.run import Run
from tests.hostile.case import Case, call
from tests.hostile.run_files import TREE

NAMES = {
    "blanks": " two  blanks ",
    "unicode": "Läufe-日本-🧪",
    "a leading dash": "-o",
    "an option": "--out",
    "percent": "100%41 %s %(x)s",
    "newline": "a\nb",
    "tab": "a\tb",
    "240 characters": "x" * 240,
    "glob": "[ab]*?{c,d}!",
    "quotes": "a'b\"c`d$(e)\\f",
    "somebody's home": "~root",
    "an address inside": "a::b#c?d=e&f",
    "markup": "<b>&amp;[red]x[bold]",
    "a terminal's": "\x1b[31mred\u202egnp",
    "hidden": ".hidden",
    "not UTF-8": "a\udcffb",
}
"""Every command is given each of these in tests/cli/test_strange_names.py."""

IMPOSSIBLE = {"300 characters": "x" * 300, "a path of 6,000": "y/" * 3000, "NUL": "a\0b"}
ADDRESSES = [
    # A run may lie in a bucket; these name none that there can be.
    "s3://b/run",
    "gs://b/run",
    "az://b/run",
    "hf://datasets/a/b",
    "http://h/run",
    "s3:/b/r",
]


def attack_name(name: str) -> Callable[[Path], str]:
    """Begin a run there and ask for its counts."""

    def ask(folder: Path) -> str:
        Run.open_or_create(Path(name), Pipeline.model_validate(TREE))
        return call("stats", "--", name)

    return ask


def attack_out(name: str) -> Callable[[Path], str]:
    """Make masks of a pair there."""

    def make(folder: Path) -> str:
        (folder / "pairs.jsonl").write_text('{"wrong": "I see 4", "right": "I see 5"}\n')
        options = ("--tokenizer", "demo:policy", "--workers", "1", "-q")
        said = call("mask", "--pairs", "pairs.jsonl", f"--out={name}", *options)
        assert [path.name for path in folder.iterdir()] == ["pairs.jsonl"], "something was made"
        return said

    return make


def list_cases() -> list[Case]:
    """List them."""
    found = [
        Case("names", label, attack_name(name), "read by the command")
        for label, name in NAMES.items()
    ]
    found += [
        Case("names", f"--out of {label}", attack_out(name), "error [12]: .*")
        for label, name in IMPOSSIBLE.items()
    ]
    found += [
        Case("names", f"--out {name}", attack_out(name), "error [12]: .*") for name in ADDRESSES
    ]
    found += [
        Case("names", f"RUN {name}", lambda folder, n=name: call("stats", n), "error [12]: .*")
        for name in ADDRESSES
    ]
    return found
