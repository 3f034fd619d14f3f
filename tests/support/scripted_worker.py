"""Runs a command of dfgen with models that say the same to everybody, and writes down who is asked.

    python -m tests.support.scripted_worker FOLDER run recipe.yaml --out RUN --shared

Each request adds a line `policy KEY` or `repairer KEY` to FOLDER/asked, before it is answered.
While there is a file FOLDER/hold, nobody answers; nor does the repairer while there is
FOLDER/hold-repairer, and so on. Variables:

- `DFGEN_TEST_PAUSE`: the seconds that an answer takes.
- `DFGEN_TEST_STEP`: those before each file is put in its place, so that there is time for a kill
  where no model is asked.
- `DFGEN_TEST_DIE_AT`: before which change of the run's files, those by which workers agree left
  out, the worker is killed; 0: when it would note that a stage is done, with the journals of its
  shards still there.
- `DFGEN_TEST_VERSION`: another version of dfgen.
- `DFGEN_TEST_MODEL`: another model of the same name.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest

from dfgen.engines.base import (
    PREFIX_IDS,
    SCORE,
    EngineInfo,
    Request,
    Result,
    ScoreRequest,
    ScoreResult,
    Usage,
)
from dfgen.store.layout import SHARED
from tests.support import stub_engine
from tests.support.scripted_models import SENTENCE
from tests.support.waiting import wait_while_there

WORDS = ("fine", "poor", "fine", "bad", "murky", "poor")
"""What the answers to a prompt end in; only `fine` is right, and `bad` cannot be repaired."""
REPAIRS = {"poor": "fine", "murky": "fine", "bad": "half"}


class Watched:
    """Notes every request and lets time pass."""

    def __init__(self, folder: Path) -> None:
        self._asked = folder / "asked"
        self._folder = folder
        self._pause_s = float(os.environ.get("DFGEN_TEST_PAUSE", "0"))

    def note(self, who: str, key: str) -> None:
        """Write a line and wait."""
        descriptor = os.open(self._asked, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, f"{who} {key}\n".encode())
        os.close(descriptor)
        time.sleep(self._pause_s)
        wait_while_there(self._folder / "hold")
        wait_while_there(self._folder / f"hold-{who}")


class Repairer:
    """Repairs one answer after the other."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    @property
    def info(self) -> EngineInfo:
        """What made the results."""
        return EngineInfo("scripted", "1", "scripted", None, None, None)

    def generate(self, requests: Iterable[Request]) -> Iterator[list[Result]]:
        """Say of each wrong answer what it should have been."""
        for request in requests:
            self._watched.note("repairer", request.key)
            text = "".join(part for part in request.messages[-1].content if isinstance(part, str))
            word = next(word for word in REPAIRS if f"So it is {word}" in text)
            said = SENTENCE.format(word=REPAIRS[word])
            yield [Result(request.key, said, None, None, "stop", usage=Usage(100_000, 0))]

    def close(self) -> None:
        """Nothing to let go of."""


TOGETHER = 2
"""Requests that the policy has in hand at a time."""


class Policy(stub_engine.StubEngine):
    """Draws the words in turn; two at a time."""

    def __init__(self, watched: Watched) -> None:
        super().__init__(self._draw, batch=TOGETHER)
        self._watched = watched

    @property
    def info(self) -> EngineInfo:
        """What made the results."""
        hashes = {"weights": os.environ.get("DFGEN_TEST_MODEL", "one")}
        return replace(super().info, hashes=hashes, features=(PREFIX_IDS, SCORE))

    def score(self, requests: Iterable[ScoreRequest]) -> Iterator[list[ScoreResult]]:
        """Say of each token what was said when it was drawn."""
        source = iter(requests)
        while batch := list(islice(source, TOGETHER)):
            for each in batch:
                self._watched.note("scorer", each.key)
            yield [
                ScoreResult(each.key, [-0.5] * len(each.completion_ids), Usage(20, 0))
                for each in batch
            ]

    def _draw(self, request: Request) -> str:
        self._watched.note("policy", request.key)
        index = int(re.split("[-#]", request.key)[-1]) % len(WORDS)
        said = SENTENCE.format(word=WORDS[index])
        # Drawn on from a prefix, it goes on as it would have; after a wrong word there is an end.
        before = self._tokenizer.decode(list(request.prefix_ids))
        return said.removeprefix(before) if said != before else "."


def die_at(number: int, root: str) -> None:
    """Kill this process at a change of what lies in a folder; see above."""
    if not number:
        patch = pytest.MonkeyPatch()
        patch.setattr("dfgen.store.journal.Journal.delete", lambda _: None)
        patch.setattr("dfgen.runners.shared.SharedWork._close", lambda *_: kill_this_process())
        return
    changes = count(1)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and arguments[2] is not None:
            if not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event not in ("os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir"):
            return
        path = str(arguments[0])
        agreed = path.startswith(f"{root}/{SHARED}/")
        if path.startswith(f"{root}/") and not agreed and next(changes) == number:
            kill_this_process()

    sys.addaudithook(watch)


def kill_this_process() -> None:
    """Be killed, at once."""
    os.kill(os.getpid(), signal.SIGKILL)


def replace_engines(folder: Path) -> None:
    """Let the stages of this process find these models where they load theirs."""
    watched, patch = Watched(folder), pytest.MonkeyPatch()

    @contextmanager
    def open_policy(*settings: object) -> Iterator[Any]:
        yield Policy(watched)

    @contextmanager
    def open_repairer(*settings: object) -> Iterator[Any]:
        yield Repairer(watched)

    patch.setattr("dfgen.stages.sample.stage.open_lane", open_policy)
    patch.setattr("dfgen.stages.repair.opening.open_lane", open_repairer)
    patch.setattr("dfgen.stages.score.stage.open_engine", open_policy)
    patch.setattr("dfgen.stages.value.stage.open_engine", open_policy)
    patch.setattr("dfgen.check.checking.check_server", lambda use, scope: ())
    if "DFGEN_TEST_STEP" in os.environ:
        rename, step_s = Path.replace, float(os.environ["DFGEN_TEST_STEP"])

        def replace_slowly(path: Path, target: Path) -> Path:
            time.sleep(step_s)
            return rename(path, target)

        patch.setattr(Path, "replace", replace_slowly)
    if "DFGEN_TEST_DIE_AT" in os.environ:
        die_at(int(os.environ["DFGEN_TEST_DIE_AT"]), sys.argv[sys.argv.index("--out") + 1])
    if "DFGEN_TEST_VERSION" in os.environ:
        for module in ("shared.crew", "shared.run"):
            patch.setattr(f"dfgen.store.{module}.VERSION", os.environ["DFGEN_TEST_VERSION"])


if __name__ == "__main__":
    replace_engines(Path(sys.argv.pop(1)))
    sys.argv[0] = "dfgen"
    from dfgen.cli.main import cli

    cli()
