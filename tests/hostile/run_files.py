"""Files of a run, a lock or an export that something else has changed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dfgen.config.pipeline import Pipeline
from dfgen.store.lock import FileLock
from dfgen.store.run import Run
from tests.hostile.case import Case, call

TREE = {"prompts": {"source": "demo"}, "policy": {"engine": "transformers", "model": "m"}}


def make_run(folder: Path) -> Path:
    """A run that has only begun."""
    root = folder / "run"
    Run.open_or_create(root, Pipeline.model_validate(TREE))
    return root


def attack_manifest(content: bytes) -> Callable[[Path], str]:
    """Ask for the counts of a run whose run.json is this."""

    def ask(folder: Path) -> str:
        root = make_run(folder)
        (root / "run.json").write_bytes(content)
        return call("stats", root)

    return ask


def attack_field(name: str, value: Any) -> Callable[[Path], str]:
    """Ask for the counts of a run in whose run.json one field is this."""

    def ask(folder: Path) -> str:
        root = make_run(folder)
        data = json.loads((root / "run.json").read_bytes())
        *parents, last = name.split(".")
        node = data
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
        (root / "run.json").write_text(json.dumps(data))
        said = call("stats", root)
        return said if "error" in said else call("validate", root)

    return ask


def replace_manifest(make: Callable[[Path], object]) -> Callable[[Path], str]:
    """Ask for the counts of a run whose run.json is something else than a file."""

    def ask(folder: Path) -> str:
        root = make_run(folder)
        (root / "run.json").unlink()
        make(root / "run.json")
        return call("stats", root)

    return ask


def attack_lock(content: bytes | None) -> Callable[[Path], str]:
    """Lock a run whose lock is this; None: a pipe."""

    def lock(folder: Path) -> str:
        file = folder / "run.lock"
        if content is None:
            os.mkfifo(file)
        else:
            file.write_bytes(content)
        FileLock(file).acquire()
        return "read: the lock is taken"

    return lock


def write_holder(**changed: Any) -> bytes:
    """A lock of a process that runs, changed."""
    from dfgen.store.lock import describe_this_process, encode_holder

    return json.dumps({**json.loads(encode_holder(describe_this_process())), **changed}).encode()


def attack_entry(name: str, content: bytes | None) -> Callable[[Path], str]:
    """Open a run with such a note on a finished shard; None: a folder."""

    def open_run(folder: Path) -> str:
        root = make_run(folder)
        path = root / "journal" / name
        path.parent.mkdir()
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)
        run = Run.open_or_create(root, None)
        with run.lock():
            return f"read: {[run.entry('sample', shard) for shard in run.list_noted('sample')]}"[
                :60
            ]

    return open_run


def attack_export(content: bytes | None) -> Callable[[Path], str]:
    """Validate, and load as a trainer does, an export whose dfgen.json is this; None: a pipe."""

    def validate(folder: Path) -> str:
        from dfgen.errors import DfgenError
        from dfgen.trainers.reading import open_groups

        file = folder / "dfgen.json"
        if content is None:
            os.mkfifo(file)
        else:
            file.write_bytes(content)
        said = call("validate", folder)
        if content is not None:
            try:
                open_groups(folder)
            except DfgenError:
                return said
            raise AssertionError("the trainer read it")
        return said

    return validate


DEEP = b'{"format": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
MANIFESTS = {
    "empty": b"",
    "NUL bytes": bytes(5000),
    "cut off": b'{"format": "dfgen.run/1", "created": ',
    "not UTF-8": b'{"format": "\xff\xfe"}',
    "100,000 lists": DEEP,
    "a number": b"7",
    "a list": b"[]",
    "a number of 5,000 digits": b'{"format": ' + b"9" * 5000 + b"}",
    "a format of 5,000 digits": b'{"format": "dfgen.run/' + b"9" * 5000 + b'"}',
    "a format with an odd digit": '{"format": "dfgen.run/²"}'.encode(),
    "a newer format": b'{"format": "dfgen.run/99"}',
    "NaN": b'{"format": NaN}',
}
FIELDS: dict[str, Any] = {
    "pipeline": {},
    "pipeline.sample": None,
    "pipeline.name": [[[[[[[[[["deep"]]]]]]]]]],
    "pipeline.seed": 10**400,
    "pipeline.prompts": {"source": "parquet", "path": "a\0b"},
    "kind": "other",
    "tables": ["../../etc"],
    "stages": [],
    "stages.sample": {"state": "flying"},
    "stages.prompts": {"state": "done", "counts": {"input": -1}},
    "shards": {"sample": {"-1": {}}},
    "shards.sample": {"0": {"made_from": {"prompts": 10**30}, "rows": 10**30}},
    "created": "\u001b[31mred",
    "unknown": 1,
}
LOCKS = {
    "100,000 lists": DEEP,
    "empty": b"",
    "half a megabyte": b"x" * 500_000,
    "pid 10^30": write_holder(pid=10**30),
    "pid 0": write_holder(pid=0),
    "pid true": write_holder(pid=True),
    "pid of text": write_holder(pid="1"),
    "a start time of text": write_holder(start_time="x"),
    "a host that is a list": write_holder(host=["a"]),
    "a command with escape sequences": write_holder(command="\x1b[31mred"),
}
ENTRIES = {
    "a name without a number": ("sample-abc.done.json", b"{}", "read: .*"),
    "a number of 5,000 digits": ("sample-" + "9" * 200 + ".done.json", b"{}", "read: .*"),
    "an odd digit": ("sample-0000².done.json", b"{}", "read: .*"),
    "100,000 lists": ("sample-00000.done.json", DEEP, "error DamagedFileError: .*"),
    "empty": ("sample-00000.done.json", b"", "error DamagedFileError: .*"),
    "a folder": ("sample-00000.done.json", None, "error StorageError: .*"),
    "2 MB": ("sample-00000.done.json", b" " * 2_000_000, "error DamagedFileError: .*"),
}
TABLE = '{"format": "dfgen.dataset/1", "tables": {"groups": {"files": [%s]}}}'
FILE = '{"path": "%s", "sha256": "0", "size": 1}'
EXPORTS = {
    "100,000 lists": DEEP,
    "a list": b"[]",
    "tables that are text": b'{"format": "x", "tables": "abc"}',
    "a file outside": (TABLE % FILE % "../../../etc/passwd").encode(),
    "an absolute file": (TABLE % FILE % "/dev/zero").encode(),
    "a name with NUL": (TABLE % FILE % "a\\u0000b").encode(),
    "a number of 5,000 digits": b'{"format": ' + b"9" * 5000 + b"}",
}


def list_cases() -> list[Case]:
    """List them."""
    damaged = "error 1: Error: .*"
    found = [
        Case("run files", f"run.json: {name}", attack_manifest(content), damaged)
        for name, content in MANIFESTS.items()
    ]
    either = r"error 1: .*|read by the command"
    found += [
        Case(
            "run files", f"run.json: {name} = {str(value)[:20]}", attack_field(name, value), either
        )
        for name, value in FIELDS.items()
    ]
    for name, make in {"a pipe": os.mkfifo, "a folder": Path.mkdir, "/dev/zero": link_zero}.items():
        found.append(Case("run files", f"run.json: {name}", replace_manifest(make), damaged))
    held = "error (RunLocked|Storage)Error: .*"
    for name, content in {**LOCKS, "a pipe": None}.items():
        found.append(Case("run files", f"run.lock: {name}", attack_lock(content), held))
    for name, (file, note, expected) in ENTRIES.items():
        found.append(Case("run files", f"done.json: {name}", attack_entry(file, note), expected))
    for name, content in {**EXPORTS, "a pipe": None}.items():
        found.append(Case("run files", f"dfgen.json: {name}", attack_export(content), damaged))
    return found


def link_zero(path: Path) -> None:
    """A link to what has no end."""
    path.symlink_to("/dev/zero")
