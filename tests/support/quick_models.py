"""The command `dfgen` with a policy and a repairer that compute what they say, in no time.

    python -m tests.support.quick_models run pipeline.yaml --out runs/x

For tests that start the command a hundred times: it is dfgen from end to end, but for the models. A
question is "What is A + B?". What they say depends on the request and its seed alone, never on what
is asked with it, so equal runs have equal bytes: differences are dfgen's doing. They take a moment
for every few requests, and can be killed in between; QUICK_SECONDS says how long a moment is.
QUICK_HOLD names a folder: while there is a file `sample`, `repair` or `score` in it, nobody goes on
with that after the first few answers, so that a test finds all workers at work, however slowly they
have started. While there is a file `load`, models are being loaded, by one long system call each.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from dfgen.config.engine import EngineConfig, OpenAIConfig
from dfgen.engines.base import (
    PREFIX_IDS,
    SCORE,
    EngineInfo,
    Message,
    Request,
    Result,
    ScoreRequest,
    ScoreResult,
    Usage,
)
from tests.support.waiting import wait_while_there

MODEL = "demo:policy"
"""Whose tokenizer is the policy's; of the model nothing else is loaded."""

BATCH, SECONDS = 3, float(os.environ.get("QUICK_SECONDS", "0.01"))


FREE = 16
"""Answers that a process gives before it can be held: a shard or two of the cluster's tests."""


class Held:
    """Counts the answers of a process and stops them while somebody wants that."""

    def __init__(self) -> None:
        self._folder = os.environ.get("QUICK_HOLD")
        self._given = 0

    def wait(self, what: str, answers: int = 1) -> None:
        """Go on, or wait: `sample`, `repair` or `score`."""
        self._given += answers
        if self._folder is not None and self._given > FREE:
            wait_while_there(Path(self._folder) / what)


def is_repair(messages: tuple[Message, ...]) -> bool:
    """Whether a wrong answer is shown."""
    return "Repair" in join_text(messages)


def join_text(messages: tuple[Message, ...]) -> str:
    """All text of a chat."""
    return "".join(part for message in messages for part in message.content if type(part) is str)


class QuickEngine:
    """Policy or repairer: the repairer is shown an answer, and errs less."""

    def __init__(self) -> None:
        from dfgen.demo import resolve_model
        from dfgen.tokens.loading import load_tokenizer

        self._tokenizer = load_tokenizer(resolve_model(MODEL))
        self._held = Held()
        self.info = EngineInfo(
            "quick", "1", MODEL, None, "float32", MODEL, features=(PREFIX_IDS, SCORE)
        )

    def generate(self, requests: Iterable[Request]) -> Iterator[list[Result]]:
        """Answer a few at a time."""
        source = iter(requests)
        while batch := list(islice(source, BATCH)):
            time.sleep(SECONDS)
            self._held.wait("repair" if is_repair(batch[0].messages) else "sample", len(batch))
            yield [self._answer(request) for request in batch]

    def score(self, requests: Iterable[ScoreRequest]) -> Iterator[list[ScoreResult]]:
        """Read a few at a time."""
        source = iter(requests)
        while batch := list(islice(source, BATCH)):
            time.sleep(SECONDS)
            self._held.wait("score", len(batch))
            yield [
                ScoreResult(each.key, rate(each.completion_ids), Usage(9, len(each.completion_ids)))
                for each in batch
            ]

    def close(self) -> None:
        """Nothing to let go of."""

    def _answer(self, request: Request) -> Result:
        before = self._tokenizer.decode(list(request.prefix_ids))
        text = write_answer(request.messages, random.Random(request.seed))
        # Drawn on from a prefix, the rest is that of the answer that comes out.
        ids = self._tokenizer.encode(text[len(before) :] or ".")
        ids = ids[: request.decoding.max_tokens]
        return Result(
            request.key,
            self._tokenizer.decode(ids),
            ids,
            rate(ids),
            "stop",
            usage=Usage(9, len(ids)),
        )


def write_answer(messages: tuple[Message, ...], draws: random.Random) -> str:
    """Answer the question of a chat, wrong now and then."""
    asked = join_text(messages)
    found = re.search(r"What is (\d+) \+ (\d+)\?", asked)
    assert found, asked
    first, second = int(found[1]), int(found[2])
    wrong = draws.random() < (0.2 if is_repair(messages) else 0.6)
    total = first + second + (draws.randint(1, 3) if wrong else 0)
    return f"Step 1: I add {second} to {first}.\nStep 2: that gives {total}.\nAnswer: {total}"


def rate(ids: Iterable[int]) -> list[float]:
    """The logprob of each token: by its id alone, drawn or scored."""
    return [-0.125 * (each % 7) for each in ids]


def load_quick_engine(config: EngineConfig, keeping: Any = None) -> Any:
    """Stand in for `dfgen.engines.loading.load_engine`; a server is asked as ever."""
    if isinstance(config, OpenAIConfig):
        return LOAD_ENGINE(config, keeping)
    assert config.model == MODEL
    held = Path(os.environ.get("QUICK_HOLD", os.devnull)) / "load"
    while held.exists():
        held.with_name("loading").touch()
        time.sleep(3600)
    return QuickEngine()


if __name__ == "__main__":
    import dfgen.engines.loading

    LOAD_ENGINE = dfgen.engines.loading.load_engine
    dfgen.engines.loading.load_engine = load_quick_engine

    from dfgen.cli.main import main

    main()
