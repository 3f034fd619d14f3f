"""Writes again what the policy and the repairer were sent: it follows from rows and settings.

Requests are not stored. They are made here by the very functions that made them, of the rows that
they were made of; a template in a file may have changed since, and its hash in run.json tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dfgen.errors import ConfigError
from dfgen.records import Attempt, Necessity, Prompt, Trajectory

if TYPE_CHECKING:
    from dfgen.engines.base import ImageData, Message
    from dfgen.report.samples import Sample
    from dfgen.stages.prompting import Template
    from dfgen.store.finished import FinishedRun

LONGEST = 20_000
"""Characters of one text that are shown; of a longer one its ends."""


_TEMPLATE = "facts.repair.template"
"""What run.json calls the hash of the repairer's template."""


class SentTexts:
    """What a run has sent, as data for the page: a list of `{"role", "parts"}` for each request,
    whose parts are texts, and numbers of pictures, from 1.

    Args:
        finished: the run; settings are those that it recorded.
        room: characters of all requests together; None: all there are.
    """

    def __init__(self, finished: FinishedRun, room: int | None = None) -> None:
        self._config = finished.pipeline
        self._room = room
        self._chat: Template | None = None
        self._template: Template | None = None
        self._why: str | None = None
        if finished.run.manifest.kind == "sampled":
            self._chat = _load_chat(finished)
        if finished.has_answers_of_its_own and self._config.repair.engine is not None:
            self._template, self._why = _load_template(finished)

    def describe(self, sample: Sample) -> dict[str, Any]:
        """Describe the requests about one trajectory.

        Returns:
            policy: the chat that it answers; None where another program asked.
            requests: of each attempt at its repair, in order.
            tests: of each necessity test, in order; None where the repairer was not asked.
            why: why nothing is shown; None: it is.
        """
        if self._room is not None and self._room <= 0:
            why = "Left out to keep the file small; `dfgen view` shows it."
            return {"policy": None, "requests": [], "tests": [], "why": why}
        prompt = _restore_prompt(sample.prompt)
        images = [_stand_in(info.sha256) for info in prompt.image_info]
        policy = None if self._chat is None else self._write_chat(prompt, images)
        found: dict[str, Any] = {"policy": policy, "requests": [], "tests": [], "why": self._why}
        if self._template is not None:
            found["requests"] = list(self._write_requests(sample, prompt, images))
            found["tests"] = list(self._write_tests(sample, prompt, images))
        if self._room is not None:
            self._room -= _count_characters(found)
        return found

    def _write_chat(self, prompt: Prompt, images: Sequence[ImageData]) -> list[dict[str, Any]]:
        from dfgen.stages.prompting import build_messages

        assert self._chat is not None
        sent = build_messages(prompt, self._chat, self._config.sample.system, images=images)
        return _describe_messages(sent, images)

    def _write_requests(
        self, sample: Sample, prompt: Prompt, images: Sequence[ImageData]
    ) -> Iterable[list[dict[str, Any]]]:
        from dfgen.stages.repair.requests import list_refusals

        attempts = [Attempt.model_validate(attempt) for attempt in sample.attempts]
        for attempt in attempts:
            earlier = [other for other in attempts if other.index < attempt.index]
            refused = list_refusals(earlier, attempt.index, self._config.repair.candidates)
            yield self._write_request(sample.mask["completion"], prompt, refused, images)

    def _write_tests(
        self, sample: Sample, prompt: Prompt, images: Sequence[ImageData]
    ) -> Iterable[list[dict[str, Any]] | None]:
        from dfgen.stages.repair.necessity import take_back_entry

        repair = sample.repair or {}
        for entry in repair.get("necessity") or ():
            if entry["attempt"] is None:
                yield None
                continue
            text, _ = take_back_entry(
                sample.mask["completion"], repair["repair"], Necessity.model_validate(entry)
            )
            yield self._write_request(text, prompt, (), images)

    def _write_request(
        self,
        completion: str,
        prompt: Prompt,
        refused: Sequence[Attempt],
        images: Sequence[ImageData],
    ) -> list[dict[str, Any]]:
        from dfgen.stages.repair.requests import write_chat

        assert self._template is not None
        trajectory = Trajectory.model_construct(completion=completion)
        repair = self._config.repair
        sent = write_chat(trajectory, prompt, refused, repair, self._template, images)
        return _describe_messages(sent, images)


def _load_chat(finished: FinishedRun) -> Template:
    from dfgen.stages.prompting import Template
    from dfgen.stages.sample.draws import PROMPT_FIELDS

    return Template(finished.pipeline.sample.prompt, PROMPT_FIELDS, "sample.prompt")


def _load_template(finished: FinishedRun) -> tuple[Template | None, str | None]:
    from dfgen.stages.repair.prompt import hash_template, load_template

    config = finished.pipeline.repair
    noted = finished.run.manifest.get_stage("repair").fingerprint.get(_TEMPLATE)
    try:
        if hash_template(config) != noted:
            return None, "The repairer's template has changed since, so its requests are unknown."
        return load_template(config), None
    except ConfigError as error:
        return None, f"The repairer's requests are unknown: {error.what}"


def _restore_prompt(row: Mapping[str, Any]) -> Prompt:
    """The fields that requests are made of; pictures stay where they are."""
    from dfgen.records import ImageInfo

    infos = [ImageInfo.model_validate(info) for info in row.get("image_info") or ()]
    return Prompt.model_construct(
        question=row["question"],
        choices=list(row.get("choices") or ()),
        answer=row["answer"],
        solution=row.get("solution"),
        image_info=infos,
    )


def _stand_in(sha256: str) -> ImageData:
    from dfgen.engines.base import ImageData

    return ImageData(b"", sha256, "image/png")


def _describe_messages(
    messages: Sequence[Message], images: Sequence[ImageData]
) -> list[dict[str, Any]]:
    numbers = {id(image): number for number, image in enumerate(images, 1)}
    return [
        {
            "role": message.role,
            "parts": [
                _shorten(part) if isinstance(part, str) else numbers[id(part)]
                for part in message.content
            ],
        }
        for message in messages
    ]


def _shorten(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    half, left = LONGEST // 2, len(text) - LONGEST
    short = f"{text[:half]}\n… ({left:,} characters left out) …\n{text[-half:]}"
    return short if len(short) < len(text) else text


def _count_characters(found: Mapping[str, Any]) -> int:
    chats = [found["policy"], *found["requests"], *found["tests"]]
    return sum(
        len(part)
        for chat in chats
        for message in chat or ()
        for part in message["parts"]
        if isinstance(part, str)
    )
