"""Refuses data that a trainer would read without a word and learn nonsense from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from dfgen.errors import InputError

if TYPE_CHECKING:
    from dfgen.trainers.reading import GroupSource
    from dfgen.trainers.recipe import Recipe

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHOWN = 12
_SCORE_HINT = "dfgen score RUN, then export again: it stores log-probs at the sampling temperature."


def check_tokenizer(source: GroupSource, tokenizer: Any) -> None:
    """Refuse ids of another tokenizer than the one that is trained.

    Args:
        source: the data.
        tokenizer: a `transformers` tokenizer or processor, a `TextTokenizer`, or a sha256.

    Raises:
        InputError: the ids belong to another, or nobody noted to which.
    """
    found = hash_tokenizer(tokenizer)
    if source.tokenizer_sha256 is None:
        raise InputError(
            "nobody noted which tokenizer these ids belong to, so it cannot be checked.",
            where=source.name,
            hint="Export the run again, or give no tokenizer to go without the check.",
        )
    if found != source.tokenizer_sha256:
        raise InputError(
            "the token ids belong to another tokenizer than the model's "
            f"(sha256 {source.tokenizer_sha256[:_SHOWN]}, the model's is {found[:_SHOWN]}).",
            where=source.name,
            hint="Masks would fall on the wrong tokens. Carry them over, then export again:\n"
            "  dfgen retokenize RUN --tokenizer MODEL --out DIR",
        )


def hash_tokenizer(tokenizer: Any) -> str:
    """Hash vocabulary, merges and special tokens of a tokenizer, as `dfgen.json` holds it.

    Raises:
        InputError: it is none of those that can be hashed.
    """
    if isinstance(tokenizer, str):
        if _SHA256.fullmatch(tokenizer):
            return tokenizer
        raise InputError(
            f"{tokenizer!r} is no sha256 of a tokenizer.",
            hint="Give the trainer's tokenizer or processor itself.",
        )
    if isinstance(getattr(tokenizer, "sha256", None), str):
        return str(tokenizer.sha256)
    from dfgen.tokens.tokenizer import TextTokenizer

    inner = getattr(tokenizer, "tokenizer", tokenizer)
    if not hasattr(inner, "backend_tokenizer"):
        raise InputError(
            f"{type(tokenizer).__name__} is no fast tokenizer of transformers, whose vocabulary "
            "could be compared.",
            hint="Give a fast tokenizer or processor, its sha256, or None to go without the check.",
        )
    return TextTokenizer.from_transformers(inner).sha256


def choose_logprobs(
    source: GroupSource, recipe: Recipe, temperature: float, stored: set[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Choose the columns of log-probs that fit a trainer's temperature.

    Args:
        source: the data.
        recipe: which losses there are.
        temperature: by which the trainer divides logits.
        stored: columns that hold any value.

    Returns:
        Columns for answers and for repairs, each in order of preference.

    Raises:
        InputError: none fits. Log-probs at another temperature differ by several nats a token.
    """
    sampling = source.origin.get("sampling") or {}
    sampled_at = sampling.get("temperature")
    if temperature == 1:
        return ("logprobs", "scored_logprobs"), ("repair_logprobs",)
    if sampled_at is not None and float(sampled_at) != float(temperature):
        raise InputError(
            f"the trainer's temperature is {temperature}, and the answers were sampled at "
            f"{sampled_at}.",
            where=source.name,
            hint=f"Set the trainer's temperature to {sampled_at}, or to 1.",
        )
    needed = []
    if recipe.right_loss == "ratio" or recipe.failed != "drop" or recipe.unrepaired != "drop":
        needed.append("tempered_logprobs")
    if recipe.positives != "none" and recipe.positive_loss == "ratio":
        needed.append("repair_tempered_logprobs")
    missing = [name for name in needed if name not in stored]
    if missing:
        raise InputError(
            f"the trainer divides logits by {temperature}, and log-probs at that temperature are "
            f"not stored ({', '.join(missing)}).",
            where=source.name,
            hint=f"{_SCORE_HINT} Or set the trainer's temperature to 1.",
        )
    return ("tempered_logprobs",), ("repair_tempered_logprobs",)
