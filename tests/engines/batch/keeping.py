"""Keeps what an engine has out in memory, and starts the engine anew on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import Request, Result
from dfgen.engines.openai.batch.engine import BatchEngine
from dfgen.engines.openai.batch.ledger import Keeping
from dfgen.engines.openai.classify import Backoff
from tests.support.batch_server import BatchServer
from tests.support.loopback import Received, Reply, write_completion

QUICK = Backoff(max_retries=3, base=0.001, longest=0.002, longest_asked=0.002)


@dataclass
class MemoryLog:
    """A log of records that outlives its engines."""

    records: list[Mapping[str, Any]] = field(default_factory=list)

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Add records."""
        self.records += [dict(record) for record in records]

    def replay(self) -> Iterator[dict[str, Any]]:
        """Yield all records in order."""
        yield from [dict(record) for record in self.records]

    def list_events(self) -> list[str]:
        """What was written down, in order."""
        return [record["event"] for record in self.records]


@dataclass
class Bench:
    """An engine's surroundings: a server, a log, a folder."""

    server: BatchServer
    folder: Path
    log: MemoryLog = field(default_factory=MemoryLog)
    answered: set[str] = field(default_factory=set)
    told: list[str] = field(default_factory=list)

    def make_config(self, **batch: Any) -> OpenAIConfig:
        """A section for the server."""
        return OpenAIConfig(
            model=batch.pop("model", "m"),
            base_url=self.server.url,
            lane="batch",
            max_retries=3,
            batch={"poll_s": 0.005, "settle_s": 0.0, **batch},
        )

    def start(self, **batch: Any) -> BatchEngine:
        """An engine as a new process has it."""
        keeping = Keeping(
            self.folder,
            self.log,
            lambda names: self.answered & set(names),
            tell=self.told.append,
        )
        return BatchEngine(self.make_config(**batch), keeping, QUICK)

    def run(self, requests: Iterable[Request], **batch: Any) -> dict[str, Result]:
        """The results of requests by key; none comes twice, and nothing more is asked."""
        found: dict[str, Result] = {}
        engine = self.start(**batch)
        for results in engine.generate(requests):
            for result in results:
                assert result.key not in found
                found[result.key] = result
                self.answered.add(result.key)
        engine.settle()
        return found


def echo(received: Received) -> Reply:
    """Answer with the last text that was asked."""
    return Reply(write_completion(f"re: {received.text}"))
