"""What the page shows as sent is what was sent: recorded at the engines, and written again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dfgen.engines.base import Request, Result
from dfgen.report.html import write_report
from dfgen.report.samples import Sample, gather_samples
from dfgen.report.sent import LONGEST, SentTexts
from dfgen.store.finished import FinishedRun, open_finished
from tests.support import sample_run
from tests.support.sample_run import make_run


def read_chat(request: Request) -> list[dict[str, Any]]:
    """A request as the page has it: pictures are numbers."""
    chat = []
    for message in request.messages:
        numbers = iter(range(1, 100))
        parts = [part if isinstance(part, str) else next(numbers) for part in message.content]
        chat.append({"role": message.role, "parts": parts})
    return chat


@pytest.fixture(params=[{}, {"answer": "given", "candidates": 2, "system": "Be {brief}."}])
def recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> tuple[FinishedRun, dict[str, Any]]:
    """A run, and what its engines were sent, by key."""
    sent: dict[str, Any] = {}
    plain = sample_run.make_pipeline

    def make_pipeline(*given: int) -> Any:
        pipeline = plain(*given)
        repair = type(pipeline.repair).model_validate(
            pipeline.repair.model_dump(exclude_unset=True) | request.param
        )
        changes = {"repair": repair}
        if request.param:
            text = "Look at {images} and tell me: {question}{choices} {{so}}"
            changes["sample"] = pipeline.sample.model_copy(update={"prompt": text, "system": "Hi."})
        return pipeline.model_copy(update=changes)

    def record(kind: Any) -> None:
        generate = kind.generate

        def listen(self: Any, requests: Iterable[Request]) -> Iterator[list[Result]]:
            def note() -> Iterator[Request]:
                for each in requests:
                    sent[each.key] = read_chat(each)
                    yield each

            yield from generate(self, note())

        monkeypatch.setattr(kind, "generate", listen)

    monkeypatch.setattr(sample_run, "make_pipeline", make_pipeline)
    record(sample_run.ScriptedPolicy)
    record(sample_run.ScriptedRepairer)
    root = make_run(tmp_path / "run", prompts=14, samples=4)
    return open_finished(root), sent


def read_samples(finished: FinishedRun) -> list[Sample]:
    rows = finished.run.table("masks").iter_rows(columns=["trajectory_id"])
    return list(gather_samples(finished, {row["trajectory_id"] for row in rows}, pictures=False))


def test_every_request_is_the_one_that_was_sent(
    recorded: tuple[FinishedRun, dict[str, Any]],
) -> None:
    finished, sent = recorded
    texts = SentTexts(finished)
    compared = 0
    for sample in read_samples(finished):
        name = sample.mask["trajectory_id"]
        found = texts.describe(sample)
        assert found["why"] is None
        assert found["policy"] == sent[name]
        assert len(found["requests"]) == len(sample.attempts)
        for attempt, chat in zip(sample.attempts, found["requests"], strict=True):
            assert chat == sent[f"{name}_r{attempt['index']}"]
            compared += 1
    repairs = [key for key in sent if "_r" in key]
    assert compared == len(repairs) > 20
    told = [chat for key, chat in sent.items() if "Your previous attempt" in str(chat)]
    assert told, "a refused attempt is told of"


def test_a_template_that_has_changed_is_not_passed_off(sample_run: Path) -> None:
    finished = open_finished(sample_run)
    repair = finished.pipeline.repair.model_copy(update={"prompt": "Mend {completion}"})
    other = FinishedRun(finished.run, finished.pipeline.model_copy(update={"repair": repair}))
    sample = next(each for each in read_samples(finished) if each.attempts)
    found = SentTexts(other).describe(sample)
    assert found["requests"] == []
    assert "has changed since" in found["why"]
    gone = finished.pipeline.repair.model_copy(update={"prompt": "file:no/such/file"})
    other = FinishedRun(finished.run, finished.pipeline.model_copy(update={"repair": gone}))
    assert "cannot be read" in SentTexts(other).describe(sample)["why"]


def test_a_file_holds_requests_while_there_is_room(sample_run: Path, tmp_path: Path) -> None:
    finished = open_finished(sample_run)
    samples = read_samples(finished)
    texts = SentTexts(finished, room=10_000)
    found = [texts.describe(sample) for sample in samples]
    assert found[0]["why"] is None
    assert "`dfgen view` shows it" in found[-1]["why"]
    assert found[-1]["policy"] is None
    written = write_report(finished, tmp_path / "report.html")
    assert written.bytes < 1_500_000


def test_a_very_long_text_is_cut_in_the_middle(sample_run: Path) -> None:
    finished = open_finished(sample_run)
    sample = read_samples(finished)[0]
    sample.prompt["question"] = "first " + "x" * (LONGEST + 100) + " last"  # type: ignore[index]
    (message,) = SentTexts(finished).describe(sample)["policy"]
    (text,) = [part for part in message["parts"] if isinstance(part, str)]
    assert text.startswith("first x")
    assert text.endswith("x last")
    assert "characters left out" in text
    assert len(text) < LONGEST + 100


def test_what_another_program_asked_is_not_made_up(tmp_path: Path, sample_run: Path) -> None:
    finished = open_finished(sample_run)
    finished.run.manifest.kind = "imported"
    found = SentTexts(finished).describe(read_samples(finished)[0])
    assert found["policy"] is None
