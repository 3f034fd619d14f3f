"""One request's chat and pictures to one prompt's tensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dfgen.engines.base import Failure, ImageData, Request
from dfgen.engines.chat import list_images, to_template_messages
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

    def __init__(self, loaded: LoadedModel, model_name: str, max_length: int | None):
        self._loaded = loaded
        self._model_name = model_name
        limits = [limit for limit in (max_length, loaded.length_limit) if limit is not None]
        self._limit = min(limits, default=None)
        self._limit_is_users = max_length is not None and self._limit == max_length
        self._recent: dict[Hashable, Any] = {}
        self._older: dict[Hashable, Any] = {}

    def start_batch(self) -> None:
        """Forget what neither this batch nor the one before it uses."""
        self._older, self._recent = self._recent, {}

    def read(self, request: Request) -> PreparedPrompt | Failure:
        """Prepare one request's prompt, or say why this row cannot be generated.

        Raises:
            EngineError: no prompt of this kind can be prepared: the model has no chat template,
                the template does not render, it is text-only and there is a picture, or
                max_tokens alone fills the model.
        """
        prepared = self._remember(_identify(request), lambda: self._prepare(request))
        if isinstance(prepared, Failure):
            return prepared
        assert isinstance(prepared, PreparedPrompt)
        return self._check_length(prepared, request) or prepared

    def render(self, request: Request) -> str:
        """Return the prompt's text, as the chat template writes it.

        Raises:
            EngineError: there is no template, or it fails.
        """
        from jinja2 import TemplateError

        loaded = self._loaded
        template = request.chat_template or find_template(loaded)
        if template is None:
            raise EngineError(
                f"{self._model_name!r} comes without a chat template.",
                hint="Give one in the pipeline file (`sample.chat_template`: Jinja text or a "
                "file), or put chat_template.jinja into the model directory.",
            )
        chat = to_template_messages(request.messages, as_parts=loaded.reads_images)
        try:
            text = loaded.processor.apply_chat_template(
                chat,
                chat_template=template,
                add_generation_prompt=True,
                tokenize=False,
                **request.chat_template_args,
            )
        except (TemplateError, TypeError, ValueError) as error:
            raise EngineError(
                f"the chat template cannot write this chat: {error}",
                where=f"request {request.key}",
                hint="Check `sample.chat_template`, its arguments, and whether the model knows a "
                "system message.",
            ) from error
        return str(text)

    def _prepare(self, request: Request) -> PreparedPrompt | Failure:
        sources = list(list_images(request.messages))
        if sources and not self._loaded.reads_images:
            raise EngineError(
                f"{self._model_name!r} has no image processor, but the prompt holds a picture.",
                where=f"request {request.key}",
                hint="Use a vision-language model, or add preprocessor_config.json of the "
                "original model to the directory.",
            )
        text = self.render(request)
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
            inputs = dict(run_processor(self._loaded, [text], [images]))
        except Exception as error:
            # The processor is the model's own code; what it raises for one prompt (a picture one
            # pixel high, say) is that row's misfortune.
            return Failure("prompt_invalid", f"the model's processor refused the prompt: {error}")
        ids = inputs["input_ids"]
        token = self._loaded.image_token_id
        return PreparedPrompt(
            text=text,
            images=images,
            inputs=inputs,
            length=int(ids.shape[1]),
            image_tokens=None if token is None else int((ids == token).sum()),
        )

    def _find_placeholder(self, request: Request) -> str | None:
        """Return the picture token if someone wrote it into a text: it would claim a picture."""
        if self._loaded.image_token_id is None:
            return None
        token = self._loaded.tokenizer.convert_ids_to_tokens(self._loaded.image_token_id)
        texts = (
            part for message in request.messages for part in message.content if type(part) is str
        )
        return token if token and any(token in text for text in texts) else None

    def _check_length(self, prompt: PreparedPrompt, request: Request) -> Failure | None:
        wanted = request.sampling.max_tokens
        if self._limit is None or prompt.length + wanted <= self._limit:
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
            f"{prompt.length} prompt tokens and max_tokens {wanted} are more than {source}, "
            f"{self._limit}",
        )

    def _decode(self, source: ImageData) -> Image.Image:
        image = self._remember(("image", source.sha256), lambda: decode(source))
        if isinstance(image, RowError):
            raise image
        return image  # type: ignore[no-any-return]  # the cache holds several kinds

    def _remember(self, key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in self._recent:
            self._recent[key] = self._older[key] if key in self._older else make()
        return self._recent[key]


def decode(source: ImageData) -> Image.Image | RowError:
    """Decode a picture to RGB, EXIF orientation applied; the error is returned, to be kept."""
    from dfgen.prompts.image_decode import decode_image

    try:
        return decode_image(source.data)
    except RowError as error:
        return error
    except (OSError, ValueError, SyntaxError) as error:
        # What Pillow raises for broken files, depending on the format.
        return RowError("image_corrupt", f"{source.mime} picture cannot be decoded: {error}")


def run_processor(
    loaded: LoadedModel, texts: list[str], images: list[tuple[Image.Image, ...]]
) -> dict[str, Any]:
    """Call the model's processor on rendered prompts, padded on the left.

    A beginning-of-sequence token is added only where the template has not written one, as
    `apply_chat_template(tokenize=True)` of transformers does.
    """
    bos = loaded.tokenizer.bos_token
    options: dict[str, Any] = {
        "add_special_tokens": not (bos and all(text.startswith(bos) for text in texts)),
        "padding": len(texts) > 1,
        "return_tensors": "pt",
    }
    if not loaded.reads_images:
        return dict(loaded.tokenizer(texts, **options))
    if any(images):
        options["images"] = [list(row) for row in images]
    return dict(loaded.processor(text=texts, **options))


def find_template(loaded: LoadedModel) -> str | None:
    """Return the model's own chat template: the processor's, else the tokenizer's."""
    for owner in (loaded.processor, loaded.tokenizer):
        template = getattr(owner, "chat_template", None)
        if isinstance(template, dict):
            template = template.get("default")
        if template:
            return str(template)
    return None


def _identify(request: Request) -> Hashable:
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
