"""Answers of a server that no server should give: a result, a failure or one error, and no more."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dfgen.config.engine import OpenAIConfig
from tests.engines.making import make_request
from tests.hostile.case import Case
from tests.support.loopback import LoopbackServer, Reply, write_completion


def attack(reply: Reply) -> Callable[[Path], str]:
    """Ask for one completion."""

    def ask(folder: Path) -> str:
        from dfgen.engines.openai.classify import Backoff
        from dfgen.engines.openai.engine import OpenAIEngine

        os.environ["NO_PROXY"] = "127.0.0.1"
        with LoopbackServer(lambda _: reply) as server:
            config = OpenAIConfig(model="m", base_url=server.url, timeout=5, max_retries=1)
            engine = OpenAIEngine(config, Backoff(max_retries=1, base=0.01, longest=0.02))
            results = [r for batch in engine.generate([make_request(0, "Hi")]) for r in batch]
        assert len(results) == 1, "one request, one result"
        failure = results[0].failure
        return "read: a result" if failure is None else f"rejects {failure.reason}"

    return ask


def complete(**changed: Any) -> dict[str, Any]:
    """A completion with some of its fields changed."""
    body = write_completion("5", token_ids=[1, 2], logprobs=[-0.1, -0.2])
    for name, value in changed.items():
        if name in body["choices"][0]:
            body["choices"][0][name] = value
        else:
            body[name] = value
    return body


def say(content: Any) -> dict[str, Any]:
    """A completion whose message holds this."""
    return complete(message={"role": "assistant", "content": content})


REPLIES: dict[str, Any] = {
    "10^30 tokens": complete(usage={"prompt_tokens": 10**30, "completion_tokens": -1}),
    "usage of text": complete(usage="many"),
    "a token id of 2^70": complete(token_ids=[2**70, -1]),
    "token ids of text": complete(token_ids=["a"]),
    "logprobs of -10^400": b'{"choices":[{"message":{"content":"5"},"logprobs":{"content":'
    b'[{"token":"5","logprob":-1e400}]},"finish_reason":"stop"}]}',
    "logprobs that are true": complete(logprobs={"content": [{"token": "5", "logprob": True}]}),
    "logprobs that are a list": complete(logprobs=[1, 2]),
    "no choices": complete(choices=[]),
    "choices that are null": complete(choices=None),
    "choices of numbers": complete(choices=[1]),
    "a message of null": complete(message=None),
    "content of null": say(None),
    "content of blocks": say([{"type": "text", "text": "5"}]),
    "content of a number": say(5),
    "content with half a surrogate pair": b'{"choices":[{"message":{"content":"\\ud800"}}]}',
    "content with NUL": say("a\0b"),
    "content of 20 MB": say("x" * 20_000_000),
    "a finish reason of a list": complete(finish_reason=["stop"]),
    "100,000 lists": b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number of 5,000 digits": b'{"choices": ' + b"9" * 5000 + b"}",
    "not UTF-8": b'{"choices": "\xff"}',
    "no body": b"",
    "a web page": b"<!doctype html><title>502</title>",
    "a list": b"[]",
    "escape sequences": b"\x1b[31mred",
}


def list_cases() -> list[Case]:
    """List them."""
    expected = r"read: a result|rejects \w+|error EngineError: .*"
    found = [Case("servers", name, attack(Reply(body)), expected) for name, body in REPLIES.items()]
    packed = Reply(gzip.compress(bytes(200 << 20)), headers={"Content-Encoding": "gzip"})
    others = {
        "200 MB in gzip": packed,
        "an error of 5 MB": Reply(b"x" * 5_000_000, 400),
        "an error that is a list": Reply(json.dumps([["a"]]).encode(), 400),
        "a redirect to itself": Reply(b"", 307, {"Location": "/v1/chat/completions"}),
        "a redirect elsewhere": Reply(b"", 307, {"Location": "http://127.0.0.1:1/"}),
        "status 999": Reply(b"{}", 599),
        "Retry-After of 10^9": Reply(b"{}", 400, {"Retry-After": "1000000000"}),
        "half an answer": Reply(complete(), drop="half"),
    }
    return found + [
        Case("servers", name, attack(reply), expected) for name, reply in others.items()
    ]
