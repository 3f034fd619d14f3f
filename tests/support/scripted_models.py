"""Runs whose policy and repairer say what a test wants; graders, checks, store are dfgen's own.

models = Models(answer_by_index(["fine", "poor"]), repairs={"poor": ["half", "fine"]})
run = models.run(tmp_path / "run", pipeline, monkeypatch)
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dfgen.config.pipeline import Pipeline
from dfgen.engines.base import EngineInfo, Request, Result, Usage
from dfgen.runners.local import run_stages
from dfgen.stages.session import Session
from dfgen.store.layout import STAGES, Stage
from dfgen.store.run import Run
from tests.support import stub_engine
from tests.support.word_graders import LOOSE

SENTENCE = "We look at the picture for a while. There is a {word} thing. So it is {word}"


def make_pipeline(folder: Path, **sections: Any) -> Pipeline:
    """Seven questions in three shards, graded by the last word of each answer.

    Args:
        folder: the questions are written here.
        sections: merged into the pipeline.
    """
    folder.mkdir(exist_ok=True)
    source = folder / "questions.jsonl"
    rows = [{"question": f"What is thing {i}?", "answer": "fine"} for i in range(7)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    prompts = {"source": "jsonl", "path": str(source), "images": {"min_per_prompt": 0}}
    repair = {
        "engine": {"engine": "openai", "model": "scripted", "price": {"prompt": 1.0}},
        "max_edit_ratio": 0.9,
        "allow": ["answer_only", "leak"],
    }
    tree: dict[str, Any] = {
        "prompts": {**prompts, "shard_size": 3},
        "policy": {"engine": "transformers", "model": str(stub_engine.POLICY)},
        "sample": {"num_samples": 4, "max_tokens": 64},
        "grade": {"grader": LOOSE},
        "repair": repair,
    }
    for name, values in sections.items():
        tree[name] = {**tree.get(name, {}), **values}
    return Pipeline.model_validate(tree)


def answer_by_index(words: list[str]) -> Callable[[Request], str]:
    """Sample i of every prompt ends in word i."""
    return lambda request: SENTENCE.format(word=words[int(request.key.rpartition("-")[2])])


@dataclass
class Models:
    """The two models.

    Args:
        answer: what the policy says.
        repairs: word at the end of a wrong answer -> the words that the attempts end in.

    Attributes:
        drawn, asked: how often each trajectory was asked for, of the policy and the repairer.
    """

    answer: Callable[[Request], str]
    repairs: dict[str, list[str]] = field(default_factory=dict)
    drawn: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    fail_after: int | None = None

    info = EngineInfo("scripted", "1", "scripted", None, None, None)

    def run(
        self,
        root: Path,
        pipeline: Pipeline,
        monkeypatch: pytest.MonkeyPatch,
        stages: tuple[Stage, ...] = STAGES,
    ) -> Run:
        """Run stages as the command line does."""
        self.replace_engines(monkeypatch)
        run = Run.open_or_create(root, pipeline)
        with run.lock():
            assert run_stages(Session(run, pipeline), stages)
        return Run.open_or_create(root, None)

    def replace_engines(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the stages find these models where they load theirs."""
        policy = stub_engine.StubEngine(self._draw)

        @contextmanager
        def open_policy(*settings: object) -> Iterator[Any]:
            yield policy

        @contextmanager
        def open_repairer(*settings: object) -> Iterator[Any]:
            yield self

        monkeypatch.setattr("dfgen.stages.sample.stage.open_lane", open_policy)
        monkeypatch.setattr("dfgen.stages.repair.opening.open_lane", open_repairer)
        # Nor is the server looked for that the pipeline names and nobody asks.
        monkeypatch.setattr("dfgen.check.checking.check_server", lambda use, scope: ())

    def _draw(self, request: Request) -> Any:
        self.drawn[request.key] += 1
        return self.answer(request)

    def generate(self, requests: Iterable[Request]) -> Iterator[list[Result]]:
        """Repair one answer after the other."""
        for request in requests:
            text = "".join(part for part in request.messages[-1].content if isinstance(part, str))
            word = next(word for word in self.repairs if f"So it is {word}" in text)
            words = self.repairs[word]
            answer = request.key.rpartition("_")[0]
            said = words[min(self.asked[answer], len(words) - 1)]
            self.asked[answer] += 1
            if self.fail_after is not None and self.asked.total() > self.fail_after:
                from dfgen.errors import EngineError

                raise EngineError("the scripted repairer has died.")
            repaired = SENTENCE.format(word=said)
            yield [Result(request.key, repaired, None, None, "stop", usage=Usage(100_000, 0))]

    def close(self) -> None:
        """Nothing to let go of."""
