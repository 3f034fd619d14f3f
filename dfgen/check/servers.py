"""Checks models behind servers: the address, the key, whether it answers and serves the model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dfgen.check.finding import Finding, describe_error
from dfgen.check.scope import EngineUse, Scope
from dfgen.config.engine import OpenAIConfig
from dfgen.errors import DfgenError, guess_name

if TYPE_CHECKING:
    from dfgen.engines.openai.listing import Listing

TIMEOUT_S = 5.0
"""Seconds for one answer; a server that is well lists its models in a few milliseconds."""

_SHOWN = 8


def check_server(use: EngineUse, scope: Scope) -> Iterator[Finding]:
    """Find what keeps a server from answering; nothing is said of a model that is loaded here.

    A server that is needed only later may be started until then, so that it does not answer is a
    warning. One that answers and does not know the key or the model is an error at any time.
    """
    if not isinstance(use.config, OpenAIConfig):
        return
    if use.config.lane == "files":  # somebody else asks, elsewhere and with a key of their own
        return
    from dfgen.engines.openai.endpoint import resolve_endpoints

    try:
        endpoints = resolve_endpoints(use.config)
    except DfgenError as error:
        yield describe_error(error, use.section)
        return
    if not scope.network:
        return
    from dfgen.engines.openai.listing import list_models

    try:
        listings = list_models(endpoints, use.config.model, TIMEOUT_S)
    except DfgenError as error:
        yield describe_error(error, use.section)
        return
    lost = sum(not listing.reached for listing in listings)
    for listing in listings:
        yield from _judge(listing, use, needed=use.first and lost == len(listings))
        yield from _check_context(listing, use, scope)


def _judge(listing: Listing, use: EngineUse, *, needed: bool) -> Iterator[Finding]:
    address, model = listing.endpoint.shown_url, use.config.model
    where = f"{use.section}.base_url"
    if listing.denied is not None:
        yield describe_error(listing.denied, use.section)
    elif not listing.reached:
        yield Finding(
            "error" if needed else "warning",
            f"the server at {address} does not answer: {listing.fault}",
            where,
            f"Start it before the {use.stage} stage begins."
            if not needed
            else "Start it, or mend the address or the proxy; the same command then begins. "
            "`--no-check` begins at once.",
        )
    elif listing.fault is not None:
        yield Finding(
            "warning", f"the server at {address} does not list its models: {listing.fault}", where
        )
    elif listing.models is not None and not listing.knows:
        # SGLang answers by whatever name it is asked; others know names that no list has.
        lenient = {str(entry.get("owned_by")) for entry in listing.models.values()} == {"sglang"}
        lenient = lenient or listing.knows is None or f"models/{model}" in listing.models
        yield _explain_unknown(listing, use, "warning" if lenient else "error", model, address)


def _explain_unknown(
    listing: Listing, use: EngineUse, level: str, model: str, address: str
) -> Finding:
    names = sorted(listing.models or ())
    meant = guess_name(model, names)
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    guess = f" Did you mean {meant!r}?" if meant else ""
    verb = "lists" if level == "warning" else "serves"
    return Finding(
        "warning" if level == "warning" else "error",
        f"the server at {address} {verb} no model {model!r}.",
        f"{use.section}.model",
        f"It serves: {shown or 'none'}.{guess}",
    )


def _check_context(listing: Listing, use: EngineUse, scope: Scope) -> Iterator[Finding]:
    """A completion that fills the server's context leaves no room for any prompt."""
    entry = (listing.models or {}).get(use.config.model, {})
    limit, pipeline = entry.get("max_model_len"), scope.pipeline
    lengths = {"sample.max_tokens": pipeline.sample.max_tokens} if use.stage != "repair" else {}
    if "repair" in scope.stages and pipeline.repair.engine == use.config:
        lengths["repair.decoding.max_tokens"] = pipeline.repair.decoding.max_tokens
    for name, wanted in lengths.items():
        if not isinstance(limit, int) or wanted < limit:
            continue
        yield Finding(
            "error",
            f"{wanted:,} tokens of completion leave no room for a prompt: the server at "
            f"{listing.endpoint.shown_url} takes {limit:,} tokens, prompt and completion together.",
            name,
            "Set it lower, or start the server with a larger --max-model-len.",
        )
