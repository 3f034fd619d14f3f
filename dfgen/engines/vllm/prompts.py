"""Turns a request's chat and pictures into a prompt as vLLM takes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dfgen.engines.base import Chat, Failure
from dfgen.engines.processor.chat_template import render_chat, wants_bos
from dfgen.engines.processor.loading import ModelProcessor
from dfgen.engines.processor.pictures import decode_picture, list_pictures
from dfgen.errors import RowError


@dataclass(frozen=True, slots=True)
class VllmPrompt:
    """A rendered prompt.

    Attributes:
        text: what the chat template wrote, picture tokens not expanded.
        images: decoded pictures in reading order.
        uuids: sha256 of each picture's file: its identity in all of vLLM's caches.
        add_special_tokens: whether the tokenizer has to put its beginning of sequence in front,
            because the template has not.
    """

    text: str
    images: tuple[Any, ...] = field(repr=False)
    uuids: tuple[str, ...]
    add_special_tokens: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the prompt in vLLM's form."""
        if not self.images:
            return {"prompt": self.text}
        return {
            "prompt": self.text,
            "multi_modal_data": {"image": list(self.images)},
            "multi_modal_uuids": {"image": list(self.uuids)},
        }


class VllmPromptReader:
    """Renders chats and decodes pictures; the K cells of a prompt, which follow one another, once.

    Args:
        model: its processor and tokenizer.
        max_images: pictures that a prompt may hold.
    """

    def __init__(self, model: ModelProcessor, max_images: int) -> None:
        self._model = model
        self._max_images = max_images
        self._last: tuple[Chat, VllmPrompt | Failure] | None = None

    def read(self, request: Chat) -> VllmPrompt | Failure:
        """Render one request, or say why its row cannot be computed.

        Raises:
            EngineError: no prompt of this kind can be rendered: see `render_chat`; or the model is
                text-only and there is a picture.
        """
        if self._last is not None:
            before, prompt = self._last
            if (
                before.messages is request.messages
                and before.chat_template == request.chat_template
                and before.chat_template_args == request.chat_template_args
            ):
                return prompt
        prompt = self._read(request)
        self._last = (request, prompt)
        return prompt

    def _read(self, request: Chat) -> VllmPrompt | Failure:
        sources = list_pictures(self._model, request)
        if len(sources) > self._max_images:
            return Failure(
                "too_many_images",
                f"{len(sources)} pictures; limit_mm_per_prompt allows {self._max_images}",
            )
        text = render_chat(self._model, request)
        images = []
        for source in sources:
            image = decode_picture(source)
            if isinstance(image, RowError):
                return Failure(image.reason, image.detail)
            images.append(image)
        return VllmPrompt(
            text=text,
            images=tuple(images),
            uuids=tuple(source.sha256 for source in sources),
            add_special_tokens=wants_bos(self._model, text),
        )
