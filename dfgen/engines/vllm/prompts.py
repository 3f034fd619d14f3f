"""One request's chat and pictures to one prompt as vLLM takes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dfgen.engines.base import Failure, Request
from dfgen.engines.chat import list_images
from dfgen.engines.transformers.loading import LoadedModel
from dfgen.engines.transformers.prompts import PromptReader, decode
from dfgen.errors import EngineError, RowError


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
        """The prompt in vLLM's form."""
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
        loaded: processor and tokenizer.
        model_name: for messages.
        max_images: pictures that a prompt may hold.
    """

    def __init__(self, loaded: LoadedModel, model_name: str, max_images: int) -> None:
        self._loaded = loaded
        self._model_name = model_name
        self._max_images = max_images
        self._reader = PromptReader(loaded, model_name, None)
        self._last: tuple[Request, VllmPrompt | Failure] | None = None

    def read(self, request: Request) -> VllmPrompt | Failure:
        """Render one request, or say why its row cannot be generated.

        Raises:
            EngineError: no prompt of this kind can be rendered: see `PromptReader.render`; or the
                model is text-only and there is a picture.
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

    def _read(self, request: Request) -> VllmPrompt | Failure:
        sources = list(list_images(request.messages))
        if sources and not self._loaded.reads_images:
            raise EngineError(
                f"{self._model_name!r} has no image processor, but the prompt holds a picture.",
                where=f"request {request.key}",
                hint="Use a vision-language model.",
            )
        if len(sources) > self._max_images:
            return Failure(
                "too_many_images",
                f"{len(sources)} pictures; limit_mm_per_prompt allows {self._max_images}",
            )
        text = self._reader.render(request)
        images = []
        for source in sources:
            image = decode(source)
            if isinstance(image, RowError):
                return Failure(image.reason, image.detail)
            images.append(image)
        bos = self._loaded.tokenizer.bos_token
        return VllmPrompt(
            text=text,
            images=tuple(images),
            uuids=tuple(source.sha256 for source in sources),
            add_special_tokens=not (bos and text.startswith(bos)),
        )
