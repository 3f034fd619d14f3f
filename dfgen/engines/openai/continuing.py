"""Finds out whether a server continues the last message of a chat, before anything relies on it.

vLLM and SGLang do (`continue_final_message`). Some refuse the field; others leave it unread without
a word: they close the message and begin a new one, whose text looks like a continuation. The
difference shows in the prompt: a message that is to be continued is not closed, which takes fewer
tokens.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dfgen.config.engine import OpenAIConfig
from dfgen.config.sample import Decoding
from dfgen.engines.base import Request
from dfgen.engines.openai.payload import build_payload
from dfgen.engines.openai.transport import Answer
from dfgen.errors import EngineError

FIELDS = ("continue_final_message", "add_generation_prompt")


def build_questions(config: OpenAIConfig, request: Request) -> list[bytes]:
    """Write bodies that ask for one token: plainly, after an open last message, and a closed one.

    Args:
        request: with a `prefix_text`.
    """
    short = replace(request, decoding=Decoding(temperature=0.0, max_tokens=1), with_logprobs=False)
    opened = build_payload(config, short)
    plain = {name: value for name, value in opened.items() if name not in FIELDS}
    closed = {**opened, "continue_final_message": False}
    return [json.dumps(payload).encode() for payload in (plain, opened, closed)]


def does_continue(answers: Sequence[Answer]) -> bool | None:
    """Compare what a server counts as prompt.

    Args:
        answers: to the questions, in their order.

    Returns:
        None: nothing can be said, because the plain question was not answered either.
    """
    plain, opened, closed = map(_count_prompt, answers)
    if not 200 <= answers[0].status < 300:
        return None
    return plain is not None and opened is not None and closed is not None and opened < closed


def refuse_server(shown_url: str) -> EngineError:
    """Make the error of a server that does not continue a message."""
    return EngineError(
        f"the server {shown_url} does not go on after the beginning of an answer: it refuses "
        "`continue_final_message`, leaves it unread, or does not count tokens (usage).",
        hint="Use the same model in process (for `dfgen value`: "
        "--set 'value.engine={engine: vllm, model: MODEL}'), or serve it with vLLM or SGLang.",
    )


def _count_prompt(answer: Answer) -> int | None:
    try:
        body: Any = json.loads(answer.body)
        count = body["usage"]["prompt_tokens"]
    except (ValueError, TypeError, KeyError):
        return None
    return count if isinstance(count, int) else None
