"""Writes the first requests as they would be sent, to the policy and to the repairer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dfgen.check.models import find_model_files
from dfgen.check.scope import Scope
from dfgen.config.engine import EngineConfig, OpenAIConfig
from dfgen.engines.base import Message
from dfgen.engines.processor.model_files import ModelFiles
from dfgen.engines.processor.plain_rendering import render_plainly
from dfgen.errors import DfgenError
from dfgen.records import Prompt, Trajectory
from dfgen.stages.prompting import build_messages
from dfgen.stages.repair.prompt import fill_fields, load_template
from dfgen.stages.sample.draws import write_chats
from dfgen.terminal_text import show_text

_UNKNOWN = "(the policy's wrong answer)"
"""Stands in a repair prompt for the answer that has not been drawn yet."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One request.

    Attributes:
        source: the row that it is about.
        text: as the model reads it: what its chat template wrote, or, of a model behind a server,
            whose template nobody has, its messages.
        templated: whether it is what a chat template wrote.
        pictures: one line each: kind, size in pixels and bytes, tokens (estimated).
        answer: the reference answer, which is not sent with it unless the text says so.
    """

    source: str
    text: str
    templated: bool
    pictures: tuple[str, ...]
    answer: str

    def to_json(self) -> dict[str, Any]:
        """Return its attributes, as they stand in JSON."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"--- {self.source}", self.text]
        lines += [f"[{picture}]" for picture in self.pictures]
        return show_text(
            "\n".join([*lines, f"[reference answer, no part of the request] {self.answer}"])
        )


def show_prompts(scope: Scope, count: int) -> list[Sent]:
    """Write the first prompts as the policy gets them; none if it is not going to be asked.

    Raises:
        DfgenError: no prompt can be written.
    """
    config, sample = scope.pipeline.policy, scope.pipeline.sample
    if config is None or "sample" not in scope.stages:
        return []
    chats = write_chats(scope.rows.prompts[:count], sample)
    return [
        _send(config, prompt, messages, sample.chat_template, sample.chat_template_args)
        for prompt, messages in chats
    ]


def show_repairs(scope: Scope, count: int) -> list[Sent]:
    """Write the first requests to the repairer, of answers that are there or of one that is not.

    Raises:
        DfgenError: the template cannot be read or filled.
    """
    repair = scope.pipeline.repair
    if repair.engine is None or "repair" not in scope.stages:
        return []
    template = load_template(repair)
    sent = []
    for prompt, answer in _list_wrong(scope, count):
        # Nothing but its text is told to the repairer.
        trajectory = Trajectory.model_construct(completion=answer)
        fields = fill_fields(trajectory, prompt, (), repair)
        messages = build_messages(prompt, template, repair.system, fields)
        sent.append(_send(repair.engine, prompt, messages, None, repair.chat_template_args))
    return sent


def find_files(config: EngineConfig | None) -> ModelFiles | None:
    """Read a model's files where they can be had; what is wrong with them is a finding's affair."""
    if config is None or isinstance(config, OpenAIConfig):
        return None
    try:
        return find_model_files(config)
    except DfgenError:
        return None


def _list_wrong(scope: Scope, count: int) -> list[tuple[Prompt, str]]:
    """Answers to be repaired: of the run, of the source, or words that stand for one."""
    run, pipeline = scope.run, scope.pipeline
    if run is not None and run.table("trajectories").shards():
        from itertools import islice

        from dfgen.stages.repair.remaining import iter_undecided
        from dfgen.stages.session import Session

        session = Session(run, pipeline)
        rows = iter_undecided(session, pipeline.repair, resubmit=scope.resubmit)
        left = islice((row for row in rows if row.unasked), count)
        there = [(row.prompt, row.trajectory.completion) for row in left]
        if there or not scope.rows.new:
            return there
    prompts = scope.rows.prompts[:count]
    answers: Sequence[str] = scope.rows.answers or [_UNKNOWN] * len(prompts)
    return list(zip(prompts, answers, strict=False))


def _send(
    config: EngineConfig,
    prompt: Prompt,
    messages: tuple[Message, ...],
    template: str | None,
    arguments: dict[str, Any],
) -> Sent:
    files = find_files(config)
    template = template or (files.template if files else None)
    templated = files is not None and template is not None
    if files is not None and template is not None:
        text = render_plainly(
            template,
            messages,
            as_parts=bool(files.pictures),
            special_tokens=files.special_tokens,
            arguments=arguments,
        )
    else:
        text = _write_messages(messages)
    return Sent(
        prompt.source, text, templated, _describe_pictures(prompt, files, config), prompt.answer
    )


def _write_messages(messages: tuple[Message, ...]) -> str:
    lines, number = [], 0
    for message in messages:
        parts = []
        for part in message.content:
            number += not isinstance(part, str)
            parts.append(part if isinstance(part, str) else f"<picture {number}>")
        lines.append(f"[{message.role}] " + "".join(parts))
    return "\n".join(lines)


def _describe_pictures(
    prompt: Prompt, files: ModelFiles | None, config: EngineConfig
) -> tuple[str, ...]:
    arguments = None if isinstance(config, OpenAIConfig) else config.processor_args
    lines = []
    for number, (info, image) in enumerate(
        zip(prompt.image_info, prompt.images, strict=True), start=1
    ):
        tokens = (files or ModelFiles()).estimate_image_tokens(info.width, info.height, arguments)
        lines.append(
            f"picture {number}: {info.format}, {info.width} x {info.height}, "
            f"{len(image.bytes):,} bytes, about {tokens:,} tokens"
        )
    return tuple(lines)
