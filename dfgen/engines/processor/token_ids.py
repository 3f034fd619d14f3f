"""Says which token ids a model can be fed as text, and turns ids into text."""

from __future__ import annotations

from collections.abc import Sequence

from dfgen.engines.base import Failure, Request, ScoreRequest
from dfgen.engines.processor.loading import ModelProcessor

# What an incomplete character decodes to.
_REPLACEMENT = "�"


def find_given_ids(request: Request | ScoreRequest) -> tuple[int, ...]:
    """Return the ids of the assistant's turn that are given with a request."""
    return request.prefix_ids if isinstance(request, Request) else request.completion_ids


def check_given_ids(model: ModelProcessor, request: Request | ScoreRequest) -> Failure | None:
    """Say why the given ids of a request cannot be fed to its model; None where they can.

    A placeholder (the id that stands for a picture) needs a picture for it; the model would read
    one of the prompt's in its place, fail, or read it as a word that it was never trained on.
    """
    ids = find_given_ids(request)
    name = "prefix" if isinstance(request, Request) else "completion"
    if not ids and isinstance(request, ScoreRequest):
        return Failure("completion_empty", "the completion has no tokens to score")
    for position, token in enumerate(ids):
        where = f"token {position} of the {name}, id {token},"
        if token in model.placeholder_ids:
            return Failure(
                "ids_invalid", f"{where} stands for a picture, video or sound, and none is there"
            )
        if not 0 <= token < model.vocabulary:
            return Failure(
                "ids_invalid", f"{where} is not in the model's vocabulary of {model.vocabulary}"
            )
    return None


def describe_length(prompt_tokens: int, request: Request | ScoreRequest) -> str:
    """Say in words what a request needs room for."""
    if isinstance(request, ScoreRequest):
        return f"{prompt_tokens} prompt tokens and a completion of {len(request.completion_ids)}"
    prefix = f", a prefix of {len(request.prefix_ids)}" if request.prefix_ids else ""
    return f"{prompt_tokens} prompt tokens{prefix} and max_tokens {request.decoding.max_tokens}"


def decode_ids(model: ModelProcessor, ids: Sequence[int], prefix: Sequence[int] = ()) -> str:
    """Return what ids add to the text of a prefix; special tokens are left out.

    Decoded together with the prefix, because what an id reads as may depend on the ids before it: a
    leading space, a character that is cut between the two (it counts as new).
    """
    if not prefix:
        return _decode(model, ids)
    before, whole = _decode(model, prefix), _decode(model, [*prefix, *ids])
    for known in (before, before.rstrip(_REPLACEMENT)):
        if whole.startswith(known):
            return whole[len(known) :]
    return _decode(model, ids)


def _decode(model: ModelProcessor, ids: Sequence[int]) -> str:
    # Tidied-up spaces would break the byte offsets of tokens in the text.
    return str(
        model.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
    )
