"""The repairer of `quick_models` behind a server, as `vllm serve` would start it.

    VLLM_API_KEY=... python -m tests.support.served_model --host 0.0.0.0 --port 8000

What it says depends on a request and its seed alone, so runs that ask it have equal bytes. The host
that it is given is left alone: it listens where the name of this machine leads, by which workers
are told of it, and that is mostly 127.0.0.1.
"""

from __future__ import annotations

import os
import random
import socket
import sys
import threading
from collections.abc import Mapping

from dfgen.engines.base import Message
from tests.support.loopback import LoopbackServer, Received, Reply, write_completion, write_error
from tests.support.quick_models import Held, write_answer

MODEL = "quick-repairer"
_HELD = Held()


def is_allowed(headers: Mapping[str, str]) -> bool:
    """Say whether a client has the key."""
    given = {name.lower(): value for name, value in headers.items()}
    return given.get("authorization") == f"Bearer {os.environ['VLLM_API_KEY']}"


def answer(received: Received) -> Reply:
    """Repair an answer."""
    if not is_allowed(received.headers):
        return Reply(write_error("wrong key"), 401)
    messages = tuple(
        Message(each["role"], (read_text(each["content"]),))
        for each in received.payload["messages"]
    )
    _HELD.wait("repair")
    draws = random.Random(received.payload["seed"])
    return Reply(write_completion(write_answer(messages, draws)))


def read_text(content: str | list[dict[str, str]]) -> str:
    """All text of a message."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def list_models(path: str, headers: Mapping[str, str]) -> Reply:
    """Say that the one model is there."""
    if not is_allowed(headers):
        return Reply(write_error("wrong key"), 401)
    return (
        Reply({"data": [{"id": MODEL}]}) if path == "/v1/models" else Reply(write_error("no"), 404)
    )


if __name__ == "__main__":
    port = int(sys.argv[sys.argv.index("--port") + 1])
    host = socket.gethostbyname(socket.gethostname())
    with LoopbackServer(answer, port, list_models, host):
        threading.Event().wait()
