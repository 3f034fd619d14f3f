"""Loads tokenizers from bare vocabulary files, without a model's configuration beside them."""

from __future__ import annotations

import base64
import binascii
import importlib
import json
import warnings
from pathlib import Path
from typing import Any

from dfgen.errors import InputError
from dfgen.tokens import tiktoken
from dfgen.tokens.tokenizer import TextTokenizer


def load_file(path: Path) -> TextTokenizer:
    """Load `tokenizer.json`, a sentencepiece `.model` or a file of tiktoken's ranks.

    Raises:
        InputError: it is none of these, or broken; or the package to read it is missing.
    """
    if path.suffix == ".json":
        return _load_json(path)
    if _is_tiktoken(path):
        return _load_tiktoken(path)
    if path.suffix == ".model":
        return _load_sentencepiece(path)
    raise InputError(
        "this is no tokenizer file that dfgen knows.",
        where=str(path),
        hint="Give tokenizer.json, a sentencepiece .model, a .tiktoken file, a folder or a Hub id.",
    )


def load_folder(path: Path) -> TextTokenizer:
    """Load the one tokenizer of a folder that has vocabulary files but no configuration.

    Raises:
        InputError: there is none, or several and none of the usual name.
    """
    if (path / "tokenizer.json").exists():
        return _load_json(path / "tokenizer.json")
    if (path / "vocab.json").exists() and (path / "merges.txt").exists():
        return _load_vocab_and_merges(path)
    if (path / "vocab.txt").exists():
        return _load_word_list(path)
    file = find_tiktoken_file(path) or _find_one(path, "tokenizer.model", "*.model")
    if file is not None:
        return load_file(file)
    raise InputError(
        "there is no tokenizer in this folder.",
        where=str(path),
        hint="Looked for tokenizer.json, tokenizer_config.json, vocab.json + merges.txt, "
        "vocab.txt, tokenizer.model and one file *.tiktoken.",
    )


def find_tiktoken_file(folder: Path) -> Path | None:
    """Return the folder's file of tiktoken's ranks (`*.tiktoken`, `tiktoken.model`), if any."""
    found = _find_one(folder, "tokenizer.tiktoken", "*.tiktoken")
    if found is not None:
        return found
    models = [path for path in sorted(folder.glob("*.model")) if _is_tiktoken(path)]
    return models[0] if len(models) == 1 else None


def import_package(package: str) -> Any:
    """Import an optional package that reads a kind of tokenizer.

    Raises:
        InputError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            # sentencepiece's bindings raise a DeprecationWarning on import.
            warnings.simplefilter("ignore", DeprecationWarning)
            return importlib.import_module(package)
    except ImportError as error:
        raise InputError(
            f"reading this tokenizer needs the Python package {package!r}.",
            hint=f"Install it with: pip install {package}",
        ) from error


def _find_one(folder: Path, usual: str, pattern: str) -> Path | None:
    if (folder / usual).is_file():
        return folder / usual
    found = sorted(folder.glob(pattern))
    if len(found) > 1:
        raise InputError(
            f"there are several tokenizers in this folder: {', '.join(p.name for p in found)}.",
            where=str(folder),
            hint="Give the file.",
        )
    return found[0] if found else None


def _load_json(path: Path) -> TextTokenizer:
    from tokenizers import Tokenizer

    try:
        return TextTokenizer.wrap_tokenizers(Tokenizer.from_file(str(path)), str(path))
    except Exception as error:  # the library raises bare Exception
        raise InputError(
            f"this is no tokenizer.json: {error}", where=str(path), hint="Name the folder?"
        ) from error


def _load_vocab_and_merges(path: Path) -> TextTokenizer:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    model = models.BPE.from_file(str(path / "vocab.json"), str(path / "merges.txt"))
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if tokenizer.token_to_id("<|endoftext|>") is not None:
        tokenizer.add_special_tokens(["<|endoftext|>"])
    return TextTokenizer.wrap_tokenizers(tokenizer, str(path))


def _load_word_list(path: Path) -> TextTokenizer:
    from tokenizers.implementations import BertWordPieceTokenizer

    vocab = str(path / "vocab.txt")
    lowercase = "A" not in (path / "vocab.txt").read_text(encoding="utf-8").split()
    bert = BertWordPieceTokenizer(vocab, lowercase=lowercase)
    return TextTokenizer.wrap_tokenizers(bert._tokenizer, str(path))


def _load_sentencepiece(path: Path) -> TextTokenizer:
    library = import_package("sentencepiece")
    try:
        processor = library.SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError) as error:
        raise InputError(
            f"this is no sentencepiece model: {error}", where=str(path), hint="Is it complete?"
        ) from error
    return TextTokenizer.from_sentencepiece(processor, str(path))


def _is_tiktoken(path: Path) -> bool:
    """Say whether a file holds tiktoken's ranks: Kimi and Llama 3 call theirs `.model`."""
    if path.suffix == ".tiktoken":
        return True
    if path.suffix != ".model":
        return False
    with path.open("rb") as file:
        return _parse_rank(file.readline(10_000)) is not None


def _parse_rank(line: bytes) -> tuple[bytes, int] | None:
    parts = line.split()
    if len(parts) != 2 or not parts[1].isdigit():
        return None
    try:
        return base64.b64decode(parts[0], validate=True), int(parts[1])
    except binascii.Error:
        return None


def _load_tiktoken(path: Path) -> TextTokenizer:
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        parsed = _parse_rank(line)
        if parsed is None:
            raise InputError(
                "this is no file of tiktoken's ranks; a line is a token in base64 and its rank.",
                where=f"{path}, line {number}",
                hint="Is the file complete?",
            )
        ranks[parsed[0]] = parsed[1]
    lacks = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if lacks:
        raise InputError(
            f"{len(lacks)} of the 256 single bytes have no rank, so not every text can be encoded.",
            where=str(path),
            hint="Is the file complete?",
        )
    layout = tiktoken.find_layout(path.stem)
    special = layout.special_tokens | _read_special_tokens(path.parent, ranks)
    encoding = import_package("tiktoken").Encoding(
        path.stem, pat_str=layout.words, mergeable_ranks=ranks, special_tokens=special
    )
    return TextTokenizer.from_tiktoken(encoding, str(path))


def _read_special_tokens(folder: Path, ranks: dict[bytes, int]) -> dict[str, int]:
    """Return the special tokens that a `tokenizer_config.json` beside the ranks names."""
    settings = folder / "tokenizer_config.json"
    if not settings.exists():
        return {}
    try:
        entries = json.loads(settings.read_text(encoding="utf-8")).get("added_tokens_decoder", {})
        found = {entry["content"]: int(index) for index, entry in entries.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"this is no tokenizer_config.json: {error}", where=str(settings)
        ) from None
    taken = set(ranks.values())
    return {content: index for content, index in found.items() if index not in taken}
