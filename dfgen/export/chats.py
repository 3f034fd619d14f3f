"""Puts a prompt in the three forms that trainers read: blocks, `<image>` chats, and one string."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dfgen.stages.prompting import Template, format_choices

if TYPE_CHECKING:
    from dfgen.config.pipeline import Pipeline
    from dfgen.engines.base import Part

PLACEHOLDER = "<image>"
TEMPLATE_FIELDS = ("question", "choices")


@dataclass(frozen=True)
class Chat:
    """A prompt, ready to be written.

    Attributes:
        blocks: messages with lists of blocks.
        messages: messages with one string each, `<image>` where a picture stands.
        problem: the user's message as such a string.
        text: the user's message without its pictures.
    """

    blocks: list[dict[str, Any]]
    messages: list[dict[str, str]]
    problem: str
    text: str


class ChatMaker:
    """Puts prompts as the policy was asked them: by the pipeline's own template."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._system = pipeline.sample.system
        self._template = Template(pipeline.sample.prompt, TEMPLATE_FIELDS, "sample.prompt")

    def make(self, question: str, choices: Sequence[str], images: int) -> Chat:
        """Make the chat of one prompt.

        Args:
            question: its text, without placeholders.
            choices: its options, possibly none.
            images: how many pictures it has.
        """
        values = {"question": question, "choices": format_choices(choices)}
        parts = fill_blocks(self._template, values, images)
        user = "".join(PLACEHOLDER if text is None else text for text in parts)
        blocks = [make_turn("user", parts)]
        messages = [{"role": "user", "content": user}]
        if self._system:
            blocks.insert(0, make_turn("system", [self._system]))
            messages.insert(0, {"role": "system", "content": self._system})
        text = "".join(text for text in parts if text is not None).strip()
        return Chat(blocks, messages, user, text)


def fill_blocks(template: Template, values: Mapping[str, str], images: int) -> list[str | None]:
    """Return the parts of a filled template in reading order; None stands for a picture.

    A literal `<image>` in a text would count as one more picture in trainers, so it is written
    `[image]` there.
    """
    from dfgen.engines.base import ImageData

    pictures = [ImageData(b"", "", "")] * images
    parts: tuple[Part, ...] = template.fill(values, pictures)
    return [
        part.replace(PLACEHOLDER, "[image]") if isinstance(part, str) else None for part in parts
    ]


def make_answer(text: str) -> dict[str, str]:
    """Make the message of an answer as a string; a literal `<image>` is written `[image]`."""
    return {"role": "assistant", "content": text.replace(PLACEHOLDER, "[image]")}


def make_turn(role: str, parts: Iterable[str | None]) -> dict[str, Any]:
    """Make one message made of blocks."""
    content = [
        {"type": "image", "text": None} if text is None else {"type": "text", "text": text}
        for text in parts
    ]
    return {"role": role, "content": content}
