"""Finds and decodes the pictures of a request for a model's processor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfgen.engines.base import Chat, ImageData
from dfgen.engines.chat import list_images
from dfgen.engines.processor.loading import ModelProcessor
from dfgen.errors import EngineError, RowError

if TYPE_CHECKING:
    from PIL import Image


def list_pictures(model: ModelProcessor, chat: Chat) -> list[ImageData]:
    """Return a chat's pictures in reading order.

    Raises:
        EngineError: there are some, and the model cannot read pictures.
    """
    pictures = list(list_images(chat.messages))
    if pictures and not model.reads_images:
        raise EngineError(
            f"{model.name!r} has no image processor, but the prompt holds a picture.",
            where=f"request {chat.key}",
            hint="Use a vision-language model, or add preprocessor_config.json of the "
            "original model to the directory.",
        )
    return pictures


def decode_picture(source: ImageData) -> Image.Image | RowError:
    """Decode a picture to RGB, EXIF orientation applied; the error is returned, to be kept."""
    from dfgen.pictures.decode import decode_image

    try:
        return decode_image(source.data)
    except RowError as error:
        return error
    except (OSError, ValueError, SyntaxError) as error:
        # What Pillow raises for broken files, depending on the format.
        return RowError("image_corrupt", f"{source.mime} picture cannot be decoded: {error}")
