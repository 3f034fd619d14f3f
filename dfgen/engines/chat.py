"""Writes chats in the two forms that models take: for chat templates, and for servers."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

from dfgen.engines.base import ImageData, Message


def list_images(messages: Sequence[Message]) -> Iterator[ImageData]:
    """Yield the pictures of a chat in reading order, repeated ones as often as they stand there."""
    for message in messages:
        for part in message.content:
            if isinstance(part, ImageData):
                yield part


def to_template_messages(messages: Sequence[Message], *, as_parts: bool) -> list[dict[str, Any]]:
    """Write a chat as a Hugging Face chat template reads it.

    Args:
        as_parts: True gives each content as a list of `{"type": "image"}` and
            `{"type": "text", "text": ...}`, which templates of vision models read; False gives
            plain strings, which is all that many templates of text models understand. A chat with
            pictures needs True.
    """
    chat: list[dict[str, Any]] = []
    for message in messages:
        if as_parts:
            parts = [
                {"type": "image"} if isinstance(part, ImageData) else {"type": "text", "text": part}
                for part in message.content
            ]
            chat.append({"role": message.role, "content": parts})
        else:
            chat.append({"role": message.role, "content": _join_text(message)})
    return chat


def to_openai_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Write a chat as the `messages` of an OpenAI chat completion request.

    Pictures become data URLs of their bytes: nothing is decoded or encoded anew. A message
    without pictures is a plain string, the form that every server accepts.
    Source: https://platform.openai.com/docs/api-reference/chat/create
    """
    chat: list[dict[str, Any]] = []
    for message in messages:
        if any(isinstance(part, ImageData) for part in message.content):
            parts = [
                {"type": "image_url", "image_url": {"url": _encode_data_url(part)}}
                if isinstance(part, ImageData)
                else {"type": "text", "text": part}
                for part in message.content
            ]
            chat.append({"role": message.role, "content": parts})
        else:
            chat.append({"role": message.role, "content": _join_text(message)})
    return chat


def _join_text(message: Message) -> str:
    return "".join(part for part in message.content if isinstance(part, str))


def _encode_data_url(image: ImageData) -> str:
    return f"data:{image.mime};base64,{base64.b64encode(image.data).decode('ascii')}"
