"""Pipeline files that are damaged, or made to cost memory and time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.hostile.addresses import BOMB
from tests.hostile.case import Case, call

GOOD = b"prompts: {source: demo}\npolicy: {engine: transformers, model: m}\n"
CONTENTS: dict[str, bytes] = {
    "a key twice": GOOD + b"seed: 1\nseed: 2\n",
    "a key twice, quoted": b"sample:\n  n: 1\n  'n': 2\n",
    "an alias bomb": BOMB.encode(),
    "a list that contains itself": b"a: &a [*a]\n",
    "a merge that contains itself": b"a: &a {<<: *a}\n",
    "1,000 lists": b"a: " + b"[" * 1000 + b"]" * 1000,
    "100,000 brackets": b"[" * 100_000,
    "1,000 lists, by dashes": b"a:\n" + b"- " * 1000 + b"x\n",
    "1,000 mappings": b"".join(b" " * n + b"a:\n" for n in range(900)),
    "an impossible date": GOOD + b"name: 2024-02-31\n",
    "a time of day 99:99": GOOD + b"name: 2024-02-01 99:99:99\n",
    "a number of 5,000 digits": b"seed: " + b"9" * 5000,
    "a number of base 60 with 100,000 places": b"seed: 1" + b":1" * 100_000,
    "!!int abc": b"seed: !!int abc\n",
    "!!timestamp abc": b"seed: !!timestamp abc\n",
    "!!python/object": b"a: !!python/object/apply:os.system ['true']\n",
    "!!binary": GOOD + b"name: !!binary gIGC\n",
    "!!set of lists": b"a: !!set {[a]: }\n",
    "a list for a key": b"? [a]\n: 1\n",
    "NUL": b"seed: 1\nname: a\0b\n",
    "half a surrogate pair": GOOD + b'name: "\\ud800"\n',
    "UTF-16": GOOD.decode().encode("utf-16"),
    "UTF-16 without a mark": GOOD.decode().encode("utf-16-le"),
    "Latin-1": GOOD + b"name: \xe9\n",
    "two documents": GOOD + b"---\n" + GOOD,
    "a megabyte of comment": b"# " + b"x" * 1_000_000,
    "nothing": b"",
    "a list": b"- a\n",
    "tabs": b"a:\n\tb: 1\n",
    "no end of a quote": b"a: 'b\n",
    "100 unknown keys": b"".join(b"k%d: 1\n" % n for n in range(100)),
    "a key of 10 kB": b"k" * 10_000 + b": 1\n",
    "escape sequences in a key": b'"\\e[31mred\\e]0;x\\a": 1\n',
}


def attack(content: bytes) -> Callable[[Path], str]:
    """Show the pipeline."""

    def show(folder: Path) -> str:
        (folder / "p.yaml").write_bytes(content)
        return call("config", "show", folder / "p.yaml")

    return show


def attack_pipe(folder: Path) -> str:
    """Show a pipeline that comes through a pipe, as of `<(...)` in a shell: that is well."""
    reading, writing = os.pipe()
    os.write(writing, GOOD)
    os.close(writing)
    return call("config", "show", f"/dev/fd/{reading}")


def list_cases() -> list[Case]:
    """List them."""
    found = [
        Case("yaml", name, attack(content), "error 1: .*") for name, content in CONTENTS.items()
    ]
    marked = attack(b"\xef\xbb\xbf" + GOOD)
    found.append(Case("yaml", "a byte order mark of UTF-8", marked, "read by the command"))
    found.append(Case("yaml", "a pipe", attack_pipe, "read by the command"))
    endless = "error 1: .*has more than 1,000,000 bytes.*"
    zero = Case("yaml", "/dev/zero", lambda folder: call("config", "show", "/dev/zero"), endless)
    for value in ("[" * 1000, "2024-02-31", "9" * 5000, "{a: 1, a: 2}", "&a [*a]", "\0"):

        def override(folder: Path, value: str = value) -> str:
            (folder / "p.yaml").write_bytes(GOOD)
            return call("config", "show", folder / "p.yaml", "--set", f"seed={value}")

        found.append(Case("yaml", f"--set seed={value[:20]!r}", override, "error 1: .*"))
    return [*found, zero]
