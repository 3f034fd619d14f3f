"""Writes the JSON body of a chat completion request."""

from __future__ import annotations

from typing import Any

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import Message, Request
from dfgen.engines.chat import to_openai_messages
from dfgen.engines.openai.pictures import fit_pictures


def wants_tokens(config: OpenAIConfig, request: Request) -> bool:
    """Tell whether token ids and logprobs are asked of the server."""
    return config.return_token_ids and request.with_logprobs


def find_max_tokens(config: OpenAIConfig, request: Request) -> int | None:
    """Return how many tokens an answer may have; None where `extra_body` leaves that open."""
    limits = {"max_tokens": request.decoding.max_tokens, **config.extra_body}
    given = [limits[name] for name in ("max_tokens", "max_completion_tokens") if name in limits]
    return max((each for each in given if isinstance(each, int)), default=None)


def build_payload(
    config: OpenAIConfig, request: Request, *, with_schema: bool = True
) -> dict[str, Any]:
    """Write the JSON body of one request.

    Fields outside the OpenAI API are sent only where they are needed, because hosted APIs refuse
    unknown ones: `top_k` when it is on, the chat template when it is given, and `return_token_ids`
    when tokens are wanted. With the latter the server is one of vLLM's kind, which fills unset
    fields from the model's generation_config.json (Qwen ships top_k 20): then all of them are set,
    so that tokens are drawn as the request says.

    A `prefix_text` becomes a last message of the assistant that is not closed, in the words of vLLM
    and SGLang (`continue_final_message`); `continuing` makes sure that the server knows them.

    `extra_body` of the section comes last and wins; a null there takes a field out.

    Args:
        with_schema: False leaves the request's `response_schema` out, for servers that refuse it.
    """
    decoding = request.decoding
    messages = request.messages
    if request.prefix_text:
        messages = (*messages, Message("assistant", (request.prefix_text,)))
    payload: dict[str, Any] = {
        "model": config.model,
        "messages": to_openai_messages(fit_pictures(messages, config.max_image_bytes)),
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "max_tokens": decoding.max_tokens,
        "seed": request.seed,
    }
    if request.prefix_text:
        payload["continue_final_message"] = True
        payload["add_generation_prompt"] = False
    if decoding.stop:
        payload["stop"] = list(decoding.stop)
    if decoding.top_k > 0:
        payload["top_k"] = decoding.top_k
    if wants_tokens(config, request):
        payload["logprobs"] = True
        payload["return_token_ids"] = True
        payload.setdefault("top_k", -1)
        payload["min_p"] = 0.0
        payload["repetition_penalty"] = 1.0
    if request.chat_template is not None:
        payload["chat_template"] = request.chat_template
    if request.chat_template_args:
        payload["chat_template_kwargs"] = request.chat_template_args
    if request.response_schema is not None and with_schema:
        # https://platform.openai.com/docs/guides/structured-outputs; vLLM and SGLang read the same.
        schema = {"name": "answer", "strict": True, "schema": request.response_schema}
        payload["response_format"] = {"type": "json_schema", "json_schema": schema}
    payload.update(config.extra_body)
    return {name: value for name, value in payload.items() if value is not None}
