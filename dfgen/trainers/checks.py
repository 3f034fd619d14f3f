"""Refuses data that a trainer would read without a word and learn nonsense from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from dfgen.errors import InputError

if TYPE_CHECKING:
    from dfgen.trainers.reading import Source
    from dfgen.trainers.recipe import Recipe

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHOWN = 12
_PICTURE_IDS = ("image_token_id", "image_token_index", "video_token_id", "video_token_index")


def check_tokenizer(source: Source, tokenizer: Any) -> None:
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


def find_picture_ids(processor: Any) -> tuple[int, ...]:
    """Find the ids that stand for pictures or videos in the ids of a prompt.

    A sampled answer can hold one. Given back to the model, it asks for a picture that is not there.

    Args:
        processor: a `transformers` processor, tokenizer, model or its configuration; anything else
            has none.
    """
    found = set()
    for part in (processor, getattr(processor, "config", None)):
        for name in _PICTURE_IDS:
            value = getattr(part, name, None)
            if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                found.add(value)
    return tuple(sorted(found))


def choose_logprobs(temperature: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Choose the columns of log-probs that fit a trainer's temperature.

    Returns:
        Columns for answers and for repairs, each in order of preference.
    """
    if temperature == 1:
        return ("logprobs", "scored_logprobs"), ("repair_logprobs",)
    return ("tempered_logprobs",), ("repair_tempered_logprobs",)


def _advise_temperature(stored: float) -> str:
    other = "" if float(stored) == 1 else ", or to 1"
    return f"Set the trainer's temperature to {float(stored):g}{other}."


def check_stored(source: Source, recipe: Recipe, temperature: float, stored: set[str]) -> None:
    """Refuse a recipe whose columns were never computed, and a temperature that does not fit.

    Args:
        source: the data.
        recipe: what is trained on.
        temperature: by which the trainer divides logits.
        stored: columns of trajectories that hold any value.

    Raises:
        InputError: the soft mask is missing, or log-probs at this temperature are; at another they
            differ by several nats a token.
    """
    if recipe.weights and "weights" not in stored:
        raise InputError(
            f"the recipe {recipe.name} multiplies by the column weights, which is empty.",
            where=source.name,
            hint="dfgen score RUN, then export again; or a recipe with weights=False.",
        )
    if not 0 < temperature < float("inf"):
        raise InputError(f"the trainer's temperature is {temperature}; it must be above 0.")
    if temperature == 1:
        return
    sampled_at = (source.origin.get("sampling") or {}).get("temperature")
    if sampled_at is not None and float(sampled_at) != float(temperature):
        raise InputError(
            f"the trainer's temperature is {temperature}, and the answers were sampled at "
            f"{sampled_at}.",
            where=source.name,
            hint=_advise_temperature(sampled_at),
        )
    scored_at = (source.origin.get("scores") or {}).get("temperature")
    if scored_at is not None and float(scored_at) != float(temperature):
        raise InputError(
            f"the trainer's temperature is {temperature}, and log-probs are stored at {scored_at}.",
            where=source.name,
            hint=_advise_temperature(scored_at),
        )
    answers, repairs = recipe.uses_ratio
    needed = ["tempered_logprobs"] * answers + ["repair_tempered_logprobs"] * repairs
    missing = [name for name in needed if name not in stored]
    if missing:
        raise InputError(
            f"the trainer divides logits by {temperature}, and log-probs at that temperature are "
            f"not stored ({', '.join(missing)}).",
            where=source.name,
            hint="dfgen score RUN, then export again, stores them. Or set the trainer's "
            "temperature to 1.",
        )


def describe_sampling(sampling: dict[str, Any], temperature: float) -> list[str]:
    """Describe in what the old log-probs are not those of the distribution that was sampled.

    Args:
        sampling: `origin.sampling` of dfgen.json.
        temperature: by which the trainer divides logits.
    """
    notes = []
    sampled_at = sampling.get("temperature")
    if sampled_at is not None and float(sampled_at) != temperature:
        notes.append(
            f"Answers were sampled at temperature {sampled_at} and are trained at {temperature}: "
            "old log-probs are the policy's at the trainer's temperature, and the answers are "
            "likelier than they say."
        )
    cut = {"top_p": (None, 1, 1.0), "top_k": (None, 0, -1)}
    named = [f"{n} {sampling[n]}" for n, off in cut.items() if sampling.get(n) not in off]
    if named or sampling.get("truncated"):
        notes.append(
            f"Answers were sampled with {' and '.join(named) or 'a cut distribution'}: old "
            "log-probs are those before the cut."
        )
    return notes
