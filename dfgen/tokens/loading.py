"""Find the tokenizer that a path or a Hub id names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dfgen.errors import InputError
from dfgen.tokens.tokenizer import TextTokenizer


def load_tokenizer(path_or_id: str, revision: str | None = None) -> TextTokenizer:
    """Load a tokenizer from a file, a folder or the Hub.

    Args:
        path_or_id: `tokenizer.json`; a `.model` file of sentencepiece; a `.tiktoken` name such as
            `tiktoken:o200k_base`; a folder with `tokenizer.json`, `vocab.json` + `merges.txt`, or
            `vocab.txt`; a model folder or Hub id for `transformers.AutoTokenizer`.
        revision: commit or branch of a Hub id.

    Raises:
        InputError: nothing there can be read as a tokenizer.
    """
    if path_or_id.startswith("tiktoken:"):
        return _load_tiktoken(path_or_id.removeprefix("tiktoken:"))
    path = Path(path_or_id)
    if path.is_file():
        return _load_file(path)
    if path.is_dir() and not (path / "tokenizer_config.json").exists():
        return _load_plain_folder(path)
    return _load_auto(path_or_id, revision)


def _load_file(path: Path) -> TextTokenizer:
    if path.suffix == ".json":
        from tokenizers import Tokenizer

        try:
            return TextTokenizer.from_tokenizers(Tokenizer.from_file(str(path)), str(path))
        except Exception as error:  # the library raises bare Exception
            raise InputError(
                f"this is no tokenizer.json: {error}", where=str(path), hint="Name the folder?"
            ) from error
    if path.suffix == ".model":
        sentencepiece = _import("sentencepiece")
        processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        return TextTokenizer.from_sentencepiece(processor, str(path))
    raise InputError(
        "this is no tokenizer file that dfgen knows.",
        where=str(path),
        hint="Give tokenizer.json, a sentencepiece .model, a folder or a Hub id.",
    )


def _load_plain_folder(path: Path) -> TextTokenizer:
    """Read a folder that has vocabulary files but no configuration."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from tokenizers.implementations import BertWordPieceTokenizer

    if (path / "tokenizer.json").exists():
        return _load_file(path / "tokenizer.json")
    if (path / "vocab.json").exists() and (path / "merges.txt").exists():
        model = models.BPE.from_file(str(path / "vocab.json"), str(path / "merges.txt"))
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        if tokenizer.token_to_id("<|endoftext|>") is not None:
            tokenizer.add_special_tokens(["<|endoftext|>"])
        return TextTokenizer.from_tokenizers(tokenizer, str(path))
    if (path / "vocab.txt").exists():
        vocab = str(path / "vocab.txt")
        lowercase = "A" not in (path / "vocab.txt").read_text(encoding="utf-8").split()
        bert = BertWordPieceTokenizer(vocab, lowercase=lowercase)
        return TextTokenizer.from_tokenizers(bert._tokenizer, str(path))
    raise InputError(
        "there is no tokenizer in this folder.",
        where=str(path),
        hint="Looked for tokenizer.json, tokenizer_config.json, vocab.json + merges.txt, vocab.txt",
    )


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


def _load_tiktoken(name: str) -> TextTokenizer:
    return TextTokenizer.from_tiktoken(_import("tiktoken").get_encoding(name))


def _import(package: str) -> Any:
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(
            f"reading this tokenizer needs the Python package {package!r}.",
            hint=f"Install it with: pip install {package}",
        ) from error
