"""Reads the tokenizer of a model folder from its files, without `transformers` or torch.

`transformers.AutoTokenizer` does three things: it reads `tokenizer.json`, it adds tokens that other
files of the folder name, and for some classes it throws most of `tokenizer.json` away and builds
the tokenizer anew by the rules of the class. The first two are done here. The third is done only as
far as to see that the result would be the same (`rebuilt`); where it would not, or where the folder
asks for code or formats that only `transformers` has, the answer is None and `transformers` must
load it. Ids and hashes are therefore always those that the model's engine has.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dfgen.tokens import rebuilt
from dfgen.tokens.added_tokens import (
    NotPlainError,
    add_tokens,
    make_token,
    read_additions,
    read_json,
    read_text,
    restate_special_tokens,
    show_added,
)

NAMES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
"""The files of a model folder that are read here, the one that must be there first."""

_FOR_TRANSFORMERS = ("fast_tokenizer_files", "fix_mistral_regex", "init_inputs")
"""Settings in `tokenizer_config.json` that only `transformers` can follow."""

_OTHER_FORMATS = ("tekken.json",)
"""Files that `transformers` may prefer to `tokenizer.json`."""


def read_tokenizer(folder: Path) -> Any | None:
    """Return the `tokenizers.Tokenizer` that `AutoTokenizer` would wrap, or None.

    Args:
        folder: holds `tokenizer.json` and, where the model has them, the other files of `NAMES`.

    Returns:
        None if only `transformers` can tell what this folder's tokenizer is.
    """
    if any((folder / name).exists() for name in _OTHER_FORMATS):
        return None
    try:
        return _read(folder)
    except (NotPlainError, TypeError, KeyError, AttributeError, ValueError):
        # Malformed: `transformers` says what is wrong with it.
        return None


def needs_code(folder: Path) -> bool:
    """Say whether the folder's tokenizer is a Python class that comes with the model."""
    try:
        return _names_code(read_json(folder / "tokenizer_config.json"))
    except (NotPlainError, ValueError):
        return False


def _names_code(settings: dict[str, Any]) -> bool:
    places = settings.get("auto_map")
    return bool(places.get("AutoTokenizer") if isinstance(places, dict) else places)


def _read(folder: Path) -> Any:
    text = read_text(folder / "tokenizer.json")
    if text is None:
        raise NotPlainError
    description = json.loads(text)
    settings = read_json(folder / "tokenizer_config.json")
    model = read_json(folder / "config.json")
    if _names_code(settings) or any(settings.get(name) for name in _FOR_TRANSFORMERS):
        raise NotPlainError
    rules = [rebuilt.CLASSES.get(name) for name in sorted(_list_classes(settings, model, text))]
    if not rules:
        tokenizer = _build(text)
        add_tokens(tokenizer, read_additions(folder, settings, description, {}))
        return tokenizer
    tokenizer = None
    for rule in rules:
        if rule is None:
            raise NotPlainError
        additions = read_additions(folder, settings, description, rule.special_tokens)
        if not rule.matches(description, settings, additions.named.get("unk_token")):
            raise NotPlainError
        # The class starts without added tokens and has special tokens of its own.
        tokenizer = _build(json.dumps({**description, "added_tokens": []}))
        add_tokens(tokenizer, additions)
        if rule.restates_special_tokens:
            restate_special_tokens(tokenizer, additions)
        if show_added(tokenizer) != _expect_added(folder, text, settings, description):
            raise NotPlainError
    return tokenizer


def _build(text: str) -> Any:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # the library raises bare Exception
        raise NotPlainError from error


def _expect_added(
    folder: Path, text: str, settings: dict[str, Any], description: dict[str, Any]
) -> dict[int, str]:
    """Return the added tokens that there are if `tokenizer.json` is taken as it is."""
    written = {entry["id"]: repr(make_token(entry)) for entry in description["added_tokens"]}
    additions = read_additions(folder, settings, description, {})
    special = {entry["content"] for entry in description["added_tokens"] if entry["special"]}
    named = {str(token) for token in [*additions.named.values(), *additions.extra]}
    tokens = {repr(token) for token in additions.by_id.values()}
    if named <= special and tokens <= set(written.values()):
        return written  # nothing to add: a large vocabulary need not be read twice
    tokenizer = _build(text)
    add_tokens(tokenizer, additions)
    return show_added(tokenizer)


def _list_classes(settings: dict[str, Any], model: dict[str, Any], text: str) -> set[str]:
    """Name the classes that may build the tokenizer anew; none: the file is taken as it is."""
    named = settings.get("tokenizer_class") or model.get("tokenizer_class")
    if not isinstance(named, str):
        raise NotPlainError  # the kind of model decides, by a table inside `transformers`
    classes = {named} - rebuilt.GENERIC_CLASSES
    if named.removesuffix("Fast") == "LlamaTokenizer" and '"ByteLevel"' in text:
        classes = set()  # Llama 3, under the name of Llama 2's class
    forced = rebuilt.FORCED_BY_MODEL_TYPE.get(str(model.get("model_type")))
    if forced:
        classes = classes | {forced}
    return {name.removesuffix("Fast") for name in classes}
