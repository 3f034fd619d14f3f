"""Turns a request's chat and pictures into the tensors of one prompt."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dfgen.engines.base import Chat, Failure, ImageData, Request, ScoreRequest
from dfgen.engines.processor.chat_template import render_chat, wants_bos
from dfgen.engines.processor.loading import ModelProcessor
from dfgen.engines.processor.pictures import decode_picture, list_pictures
from dfgen.engines.processor.token_ids import check_given_ids, describe_length, find_given_ids
from dfgen.engines.transformers.loading import LoadedModel
from dfgen.errors import EngineError, RowError

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, eq=False)
class PreparedPrompt:
    """What the processor made of one prompt.

    Attributes:
        text: the rendered chat template.
        images: decoded, RGB, in reading order.
        inputs: the processor's output for this prompt alone: `input_ids` [1, length], and so on.
        length: tokens, pictures included.
        image_tokens: of them, those that stand for pictures; None where the model does not say.
    """

    text: str = field(repr=False)
    images: tuple[Image.Image, ...] = field(repr=False)
    inputs: dict[str, Any] = field(repr=False)
    length: int
    image_tokens: int | None


class PromptReader:
    """Prepares prompts, each distinct one and each distinct picture once.

    The K samples of a prompt follow one another, within a batch or over the border to the next, so
    what is kept is what the last two batches used.
    """

    def __init__(self, loaded: LoadedModel, max_length: int | None):
        self._model = loaded.parts
        limits = [limit for limit in (max_length, loaded.length_limit) if limit is not None]
        self._limit = min(limits, default=None)
        self._limit_is_users = max_length is not None and self._limit == max_length
        self._recent: dict[Hashable, Any] = {}
        self._older: dict[Hashable, Any] = {}

    def start_batch(self) -> None:
        """Forget what neither this batch nor the one before it uses."""
        self._older, self._recent = self._recent, {}

    def read(self, request: Request | ScoreRequest) -> PreparedPrompt | Failure:
        """Prepare one request's prompt, or say why this row cannot be computed.

        Raises:
            EngineError: no prompt of this kind can be prepared: the model has no chat template,
                the template does not render, it is text-only and there is a picture, or
                max_tokens alone fills the model.
        """
        refused = check_given_ids(self._model, request)
        if refused is not None:
            return refused
        prepared = self._remember(_identify(request), lambda: self._prepare(request))
        if isinstance(prepared, Failure):
            return prepared
        assert isinstance(prepared, PreparedPrompt)
        return self._check_length(prepared, request) or prepared

    def _prepare(self, request: Chat) -> PreparedPrompt | Failure:
        sources = list_pictures(self._model, request)
        text = render_chat(self._model, request)
        placeholder = self._find_placeholder(request)
        if placeholder is not None:
            return Failure(
                "prompt_invalid",
                f"the text holds {placeholder!r}, by which this model marks a picture; "
                "take it out of the question",
            )
        try:
            images = tuple(self._decode(source) for source in sources)
        except RowError as error:
            return Failure(error.reason, error.detail)
        try:
            inputs = dict(run_processor(self._model, [text], [images]))
        except Exception as error:
            # The processor is the model's own code; what it raises for one prompt (a picture one
            # pixel high, say) is that row's misfortune.
            return Failure("prompt_invalid", f"the model's processor refused the prompt: {error}")
        ids = inputs["input_ids"]
        token = self._model.image_token_id
        return PreparedPrompt(
            text=text,
            images=images,
            inputs=inputs,
            length=int(ids.shape[1]),
            image_tokens=None if token is None else int((ids == token).sum()),
        )

    def _find_placeholder(self, request: Chat) -> str | None:
        """Return the picture token if someone wrote it into a text: it would claim a picture."""
        if self._model.image_token_id is None:
            return None
        token = self._model.tokenizer.convert_ids_to_tokens(self._model.image_token_id)
        texts = (
            part for message in request.messages for part in message.content if type(part) is str
        )
        return token if token and any(token in text for text in texts) else None

    def _check_length(
        self, prompt: PreparedPrompt, request: Request | ScoreRequest
    ) -> Failure | None:
        given = len(find_given_ids(request))
        wanted = request.decoding.max_tokens if isinstance(request, Request) else 0
        if self._limit is None or prompt.length + given + wanted <= self._limit:
            return None
        source = "max_length" if self._limit_is_users else "the model's own limit"
        if wanted >= self._limit:
            raise EngineError(
                f"max_tokens {wanted} leaves no room for a prompt: {source} is {self._limit} "
                "tokens, prompt and completion together.",
                hint="Set a smaller `max_tokens` (in `sample` or `repair.decoding`).",
            )
        return Failure(
            "prompt_too_long",
            f"{describe_length(prompt.length, request)} are more than {source}, {self._limit}",
        )

    def _decode(self, source: ImageData) -> Image.Image:
        image = self._remember(("image", source.sha256), lambda: decode_picture(source))
        if isinstance(image, RowError):
            raise image
        return image  # type: ignore[no-any-return]  # the cache holds several kinds

    def _remember(self, key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in self._recent:
            self._recent[key] = self._older[key] if key in self._older else make()
        return self._recent[key]


def run_processor(
    model: ModelProcessor, texts: list[str], images: list[tuple[Image.Image, ...]]
) -> dict[str, Any]:
    """Call the model's processor on rendered prompts, padded on the left."""
    options: dict[str, Any] = {
        "add_special_tokens": any(wants_bos(model, text) for text in texts),
        "padding": len(texts) > 1,
        "return_tensors": "pt",
    }
    if not model.reads_images:
        return dict(model.tokenizer(texts, **options))
    if any(images):
        options["images"] = [list(row) for row in images]
    return dict(model.processor(text=texts, **options))


def _identify(request: Chat) -> Hashable:
    """Return what makes two requests' prompts the same: content, never identity."""
    chat = tuple(
        (
            message.role,
            tuple(
                ("image", part.sha256) if isinstance(part, ImageData) else part
                for part in message.content
            ),
        )
        for message in request.messages
    )
    arguments = json.dumps(request.chat_template_args, sort_keys=True, default=repr)
    return ("prompt", chat, request.chat_template, arguments)
