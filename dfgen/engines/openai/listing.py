"""Asks a server which models it serves, before a run begins.

https://platform.openai.com/docs/api-reference/models: vLLM, SGLang and hosted APIs answer
`GET /models`; vLLM adds each model's `max_model_len`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp

from dfgen.engines.openai.classify import classify_answer, classify_error, find_redirect
from dfgen.engines.openai.endpoint import Endpoint
from dfgen.engines.openai.transport import Answer, Transport, open_transport
from dfgen.errors import EngineError

_UNKNOWN_PATH = frozenset({404, 405, 501})
"""Statuses by which a server says that it has no such list."""


@dataclass(frozen=True)
class Listing:
    """What a server said when it was asked for its models.

    Attributes:
        endpoint: the server.
        models: by name, what it says of each; None: it keeps no list.
        knows: whether it serves the model that was asked for; None: nobody knows.
        fault: why there is no list, in words; None if there is one, or the server keeps none.
        reached: whether anything answered at the address.
        absent: what was asked for is not there (404).
        denied: the server refuses every request: a wrong key, say.
    """

    endpoint: Endpoint
    models: dict[str, dict[str, Any]] | None = field(default=None, repr=False)
    knows: bool | None = None
    fault: str | None = None
    reached: bool = True
    absent: bool = False
    denied: EngineError | None = None


def list_models(endpoints: Sequence[Endpoint], model: str, timeout: float) -> list[Listing]:
    """Ask every server for its models, all at once.

    Args:
        endpoints: the servers.
        model: that is wanted of them.
        timeout: seconds for one answer.

    Raises:
        EngineError: the environment names a proxy of a kind that is not supported.
    """
    return asyncio.run(_list_all(endpoints, model, timeout))


async def _list_all(endpoints: Sequence[Endpoint], model: str, timeout: float) -> list[Listing]:
    async with open_transport(endpoints, timeout) as transport:
        asked = (_ask(transport, endpoint, model) for endpoint in endpoints)
        return list(await asyncio.gather(*asked))


async def _ask(transport: Transport, endpoint: Endpoint, model: str) -> Listing:
    try:
        answer = await _get(transport, endpoint, "/models", model)
        if isinstance(answer, Listing):
            return answer
        models = _read(answer)
        if models is None or model in models:
            return Listing(endpoint, models, knows=True if models is not None else None)
        # Hosted APIs know models by further names, which the list leaves out.
        one = await _get(transport, endpoint, f"/models/{quote(model, safe='/')}", model)
        if isinstance(one, Answer):
            return Listing(endpoint, models, knows=_describes_model(one) or None)
        return Listing(endpoint, models, knows=False if one.absent else None)
    except EngineError as error:
        return Listing(endpoint, denied=error)


async def _get(transport: Transport, endpoint: Endpoint, path: str, model: str) -> Answer | Listing:
    """The answer of a server; a listing if there is none, or none that can be read.

    Raises:
        EngineError: the server refuses all requests.
    """
    try:
        answer = await transport.get(endpoint, path)
    except (aiohttp.ClientError, TimeoutError) as error:
        fault = classify_error(error, endpoint, model)
        return Listing(endpoint, fault=fault.detail, reached=False)
    if answer.status in _UNKNOWN_PATH:
        return Listing(endpoint, absent=answer.status == HTTPStatus.NOT_FOUND)
    if target := find_redirect(answer, endpoint):
        # Of the list alone, maybe: a completion that is redirected ends the run.
        return Listing(endpoint, fault=f"it redirects to {target}, which is not followed")
    if not 200 <= answer.status < 300:
        fault = classify_answer(answer, endpoint, model)
        return Listing(endpoint, fault=fault.detail)
    return answer


def _read(answer: Answer) -> dict[str, dict[str, Any]] | None:
    """The models of an answer by name; None if it is no list of models."""
    try:
        entries = json.loads(answer.body)["data"]
        return {str(entry["id"]): entry for entry in entries}
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _describes_model(answer: Answer) -> bool:
    """Whether an answer is the description of one model."""
    try:
        return bool(json.loads(answer.body)["id"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
