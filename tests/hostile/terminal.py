"""Text of strangers that would move the cursor: nothing of it reaches the terminal as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.hostile.case import Case, call
from tests.hostile.run_files import make_run

TEXTS = {
    "colours": "\x1b[31mred\x1b[0m",
    "the window's title": "\x1b]0;title\x07",
    "a link": "\x1b]8;;http://a/\x1b\\text\x1b]8;;\x1b\\",
    "backspaces": "a" + "\b" * 20 + "b",
    "8-bit controls": "\x9b31m",
    "text written backwards": "\u202etxt\u202c",
}


def attack_key(text: str) -> Callable[[Path], str]:
    """A field that the pipeline does not have."""

    def show(folder: Path) -> str:
        (folder / "p.yaml").write_text(json.dumps({text: text, "prompts": {text: 1}}))
        return call("config", "show", folder / "p.yaml")

    return show


def attack_path(text: str) -> Callable[[Path], str]:
    """A pipeline file that is not there."""
    return lambda folder: call("config", "show", folder / text)


def attack_pairs(text: str) -> Callable[[Path], str]:
    """A file of pairs whose columns are named so."""

    def make(folder: Path) -> str:
        (folder / "pairs.jsonl").write_text(json.dumps({text: text}) + "\n")
        options = ("--tokenizer", "demo:policy", "--workers", "1", "-q")
        return call("mask", "--pairs", folder / "pairs.jsonl", "--out", folder / "out", *options)

    return make


def attack_manifest(text: str) -> Callable[[Path], str]:
    """A run whose manifest holds an unknown field of that name."""

    def ask(folder: Path) -> str:
        root = make_run(folder)
        data = json.loads((root / "run.json").read_bytes())
        (root / "run.json").write_text(json.dumps({**data, text: 1}))
        return call("stats", root)

    return ask


def list_cases() -> list[Case]:
    """List them."""
    attacks = {
        "a key": attack_key,
        "a path": attack_path,
        "a column": attack_pairs,
        "a field of run.json": attack_manifest,
    }
    return [
        Case("terminal", f"{what}: {name}", attack(text), "error [12]: .*")
        for what, attack in attacks.items()
        for name, text in TEXTS.items()
    ]
