"""Writes a prompt as the chat messages that an engine reads."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence

from dfgen.engines.base import ImageData, Message, Part
from dfgen.errors import ConfigError, RowError
from dfgen.pictures.view import RecentViews
from dfgen.records import Image, ImageInfo, Prompt

_VIEWS = RecentViews(max_bytes=64 * 1024 * 1024)


class Template:
    """A user message with `{fields}`; `{images}` is where the pictures stand.

    Values are inserted as they are: braces inside a question or a completion mean nothing, so no
    text from a model or a data set can reach another field.

    Args:
        text: the template.
        fields: the names it may use besides `images`.
        origin: where it was written, for messages.

    Raises:
        ConfigError: a field that does not exist, or unbalanced braces.
    """

    def __init__(self, text: str, fields: Sequence[str], origin: str) -> None:
        self.text = text
        try:
            parsed = list(string.Formatter().parse(text))
        except ValueError as error:
            raise ConfigError(
                f"the template is not well formed: {error}.",
                where=origin,
                hint="Write {{ and }} for literal braces.",
            ) from None
        self.parts = [(literal, name) for literal, name, _, _ in parsed]
        known = ("images", *fields)
        named = dict.fromkeys(name for _, name in self.parts if name is not None)
        unknown = [f"{{{name}}}" for name in named if name not in known]
        if unknown:
            which = "is not one of its fields" if len(unknown) == 1 else "are not among its fields"
            raise ConfigError(
                f"the template names {' and '.join(unknown)}, which {which}.",
                where=origin,
                hint=f"Fields: {', '.join(f'{{{name}}}' for name in known)}.",
            )

    def fill(self, values: Mapping[str, str], images: Sequence[ImageData]) -> tuple[Part, ...]:
        """Put values and pictures in; a template without `{images}` gets them in front."""
        content: list[Part] = []
        if not any(name == "images" for _, name in self.parts):
            content.extend(images)
        text = ""
        for literal, name in self.parts:
            text += literal
            if name == "images":
                content.extend(([text] if text else []) + list(images))
                text = ""
            elif name is not None:
                text += values[name]
        return (*content, text) if text else tuple(content)


def build_messages(
    prompt: Prompt,
    template: Template,
    system: str | None,
    values: Mapping[str, str] | None = None,
    images: Sequence[ImageData] | None = None,
) -> tuple[Message, ...]:
    """System message, if any, and one user message with the prompt's pictures and texts.

    Args:
        prompt: whose question, choices and pictures are used.
        template: of the user message.
        system: text of the system message.
        values: further fields of the template.
        images: what stands for the pictures; None: the views that engines take.
    """
    filled = {
        "question": prompt.question,
        "choices": format_choices(prompt.choices),
        **(values or {}),
    }
    shown = list_images(prompt) if images is None else images
    user = Message("user", template.fill(filled, shown))
    return (Message("system", (system,)), user) if system else (user,)


def list_images(prompt: Prompt) -> list[ImageData]:
    """List the views of the prompt's pictures (`dfgen.pictures`), as engines take them."""
    return [
        _show_image(image, info)
        for image, info in zip(prompt.images, prompt.image_info, strict=True)
    ]


def _show_image(image: Image, info: ImageInfo) -> ImageData:
    try:
        view = _VIEWS.make_view(image.bytes, info.sha256)
    except RowError:
        # Whoever decodes it says so of this row alone.
        return ImageData(image.bytes, info.sha256, f"image/{info.format.lower()}")
    return ImageData(view.data, view.sha256 if view.changed else info.sha256, view.mime)


def format_choices(choices: Sequence[str]) -> str:
    """Options on lines of their own, `A. first`, or nothing where there are none."""
    return "".join(f"\n{chr(ord('A') + i)}. {choice}" for i, choice in enumerate(choices))
