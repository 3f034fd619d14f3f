"""Finds the tokenizer that a name stands for: a file, a folder, a demo model, one on the Hub.

What can be read without `transformers` is, because importing it with torch takes seconds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dfgen.demo import resolve_model
from dfgen.errors import InputError
from dfgen.tokens.tokenizer import TextTokenizer
from dfgen.tokens.vocabulary_files import find_tiktoken_file, load_file, load_folder


def load_tokenizer(path_or_id: str, revision: str | None = None) -> TextTokenizer:
    """Load a tokenizer by the name that the command line takes for it.

    Args:
        path_or_id: one of
            - a model folder or the id of a model on the Hub: the tokenizer that
              `transformers.AutoTokenizer` gives for it, read directly where that is the same;
            - `demo:policy` or `demo:repairer`, the models that come with dfgen;
            - a file: `tokenizer.json`, a sentencepiece `.model`, a `.tiktoken` file of ranks
              (texts are cut into words as `cl100k_base` does, unless the file's name is that of
              another encoding);
            - a folder with such a file, with `vocab.json` and `merges.txt`, or with `vocab.txt`;
            - `tiktoken:NAME`, an encoding of the tiktoken package (`tiktoken:o200k_base`).
        revision: commit or branch of a Hub id.

    Raises:
        InputError: nothing there can be read as a tokenizer.
    """
    if path_or_id.startswith("tiktoken:"):
        return _load_named_encoding(path_or_id.removeprefix("tiktoken:"))
    path_or_id = resolve_model(path_or_id)
    path = Path(path_or_id)
    if path.is_file():
        return load_file(path)
    if path.is_dir():
        return _load_model_folder(path)
    return _load_from_hub(path_or_id, revision)


def _load_model_folder(path: Path) -> TextTokenizer:
    from dfgen.tokens import model_folder

    settings = path / "tokenizer_config.json"
    if not settings.exists():
        return load_folder(path)
    found = model_folder.read_tokenizer(path)
    if found is not None:
        return TextTokenizer.wrap_tokenizers(found, str(path))
    if not (path / "tokenizer.json").exists():
        ranks = find_tiktoken_file(path)
        # `transformers` reads such files by another ending, unless the model brings code for it.
        if ranks is not None and (ranks.suffix == ".tiktoken" or model_folder.needs_code(path)):
            return load_file(ranks)
    return _load_auto(str(path), None)


def _load_from_hub(repo_id: str, revision: str | None) -> TextTokenizer:
    from dfgen.tokens import hub_files, model_folder

    folder = hub_files.fetch(repo_id, revision)
    if folder is not None and (folder / "tokenizer_config.json").exists():
        found = model_folder.read_tokenizer(folder)
        if found is not None:
            return TextTokenizer.wrap_tokenizers(found, repo_id)
    return _load_auto(repo_id, revision)


def _load_auto(path_or_id: str, revision: str | None) -> TextTokenizer:
    """Load with `transformers`, as the policy's own engine does."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path_or_id, revision=revision)
    except (OSError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise InputError(
            f"no tokenizer could be loaded: {error}",
            where=path_or_id,
            hint="Give a local folder or a Hub id; offline, the model must be in the Hub's cache.",
        ) from error
    if not hasattr(tokenizer, "backend_tokenizer"):
        return _wrap_slow(tokenizer, path_or_id)
    return TextTokenizer.from_transformers(tokenizer, path_or_id)


def _wrap_slow(tokenizer: Any, name: str) -> TextTokenizer:
    """Wrap a tokenizer without a Rust backend, if it holds a library that dfgen knows."""
    for attribute in ("sp_model", "tokenizer", "encoder"):
        inner = getattr(tokenizer, attribute, None)
        if hasattr(inner, "IdToPiece"):
            return TextTokenizer.from_sentencepiece(inner, name)
        if hasattr(inner, "encode_ordinary"):
            return TextTokenizer.from_tiktoken(inner, name)
    raise InputError(
        f"the tokenizer {type(tokenizer).__name__} is written in Python and has no fast version.",
        where=name,
        hint="Convert it to tokenizer.json and give that file.",
    )


def _load_named_encoding(name: str) -> TextTokenizer:
    from dfgen.tokens.vocabulary_files import import_package

    return TextTokenizer.from_tiktoken(import_package("tiktoken").get_encoding(name))
