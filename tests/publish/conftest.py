"""A run to publish, and the command line in a process of its own with an empty cache."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dfgen.store.run import Run
from tests.support.forking import start_module
from tests.support.hub import HubStub
from tests.support.sample_run import make_run

REPO = "alice/masks"


@dataclass(frozen=True)
class Outcome:
    """What the command said."""

    code: int
    stdout: str
    stderr: str

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.stdout)
        return found


Publish = Callable[..., Outcome]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_run(tmp_path_factory.mktemp("published") / "run", prompts=4, samples=3)
    # Without the known truth of the scenes no tokenizer is loaded, which makes each publication
    # some seconds faster; the runs of real users have none either.
    prompts = Run.open_or_create(root, None).table("prompts")
    prompts.write(0, [{**row, "metadata": "{}"} for row in list(prompts.iter_rows())])
    # What made_run noted of the file is of before.
    manifest = json.loads((root / "run.json").read_text())
    manifest["shards"].pop("prompts", None)
    (root / "run.json").write_text(json.dumps(manifest))
    for note in (root / "journal").glob("prompts-*"):
        note.unlink()
    return root


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubStub]:
    with HubStub(tmp_path) as stub:
        yield stub


@pytest.fixture
def xet_hub(tmp_path: Path) -> Iterator[HubStub]:
    with HubStub(tmp_path, xet=True) as stub:
        yield stub


@pytest.fixture
def publish(run: Path, tmp_path: Path) -> Publish:
    """`dfgen publish RUN alice/masks ... --json` against a stub; `env` wins over its variables."""

    def call(hub: HubStub, *arguments: str, env: dict[str, str] | None = None) -> Outcome:
        return run_command(hub, tmp_path, [str(run), REPO, "--license", "mit", *arguments], env)

    return call


def run_command(
    hub: HubStub, folder: Path, arguments: list[str], env: dict[str, str] | None = None
) -> Outcome:
    variables = {**os.environ, **hub.environment(folder / "home"), **(env or {})}
    variables = {name: value for name, value in variables.items() if value != "(unset)"}
    command = ("dfgen", "publish", *arguments, "--json")
    process = start_module(*command, env=variables, libraries="hub")
    stdout, stderr = process.communicate(timeout=300)
    return Outcome(process.wait(), stdout, stderr)
