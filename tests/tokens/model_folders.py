"""Model folders as people have them: small tokenizers of each class, with the files beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.trainers import BpeTrainer, WordPieceTrainer

from tests.support.small_tokenizers import CORPUS
from tests.tokens.families import RAW

QWEN2_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN3_5_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_bpe(tokenizer: Tokenizer, special: Iterable[str], alphabet: list[str]) -> Tokenizer:
    trainer = BpeTrainer(
        vocab_size=380, special_tokens=[], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in special])
    tokenizer.add_tokens([AddedToken("<think>", normalized=False)])
    return tokenizer


def byte_level(prefix: bool = False) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    return train_bpe(tokenizer, ["<|endoftext|>", "<image>"], alphabet)


def qwen(words: str = QWEN2_WORDS) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(words), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|image_pad|>"]
    return train_bpe(tokenizer, special, alphabet)


def llama(scheme: str = "first") -> Tokenizer:
    """As `LlamaTokenizer` of transformers 5 builds it: BPE on "▁", bytes for what is unknown."""
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2}
    vocab |= {f"<0x{byte:02X}>": 3 + byte for byte in range(256)}
    for word in ["▁", "t", "h", "e", "c", "a", "s", "▁t", "he", "▁the", "▁c", "at", "▁cat"]:
        vocab[word] = len(vocab)
    merges = [("▁", "t"), ("h", "e"), ("▁t", "he"), ("▁", "c"), ("a", "t"), ("▁c", "at")]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme=scheme, split=False)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in ("<unk>", "<s>", "</s>")])
    tokenizer.add_tokens([AddedToken("<think>", normalized=False)])
    return tokenizer


def gemma() -> Tokenizer:
    vocab = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3, "<mask>": 4}
    vocab |= {f"<0x{byte:02X}>": 5 + byte for byte in range(256)}
    for word in ["▁", "t", "h", "e", "c", "a", "the", "he", "cat", "at"]:
        vocab[word] = len(vocab)
    merges = [("h", "e"), ("t", "he"), ("a", "t"), ("c", "at")]
    model = models.BPE(
        vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in special])
    return tokenizer


def bert(lowercase: bool = True) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    return tokenizer


def normalizing() -> Tokenizer:
    tokenizer = byte_level(prefix=True)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip(left=False)]
    )
    return tokenizer


GENERIC: dict[str, Callable[[], Tokenizer]] = {
    **RAW,
    "gpt2": byte_level,
    "prefix_space": lambda: byte_level(prefix=True),
    "normalizing": normalizing,
    "qwen2": qwen,
    "llama_bpe": llama,
    "gemma": gemma,
    "bert": bert,
}
"""Tokenizers whose `tokenizer_config.json` names no class of its own."""

Settings = dict[str, Any]
CLASSES: dict[str, tuple[Callable[[], Tokenizer], Settings, str]] = {
    "GPT2Tokenizer": (byte_level, {"eos_token": "<|endoftext|>"}, "gpt2"),
    "GPT2TokenizerFast": (byte_level, {"eos_token": "<|endoftext|>", "pad_token": None}, "blip-2"),
    "GPT2Tokenizer with a blank in front": (
        lambda: byte_level(prefix=True),
        {"add_prefix_space": True, "tokenizer_class": "GPT2Tokenizer"},
        "gpt2",
    ),
    "Qwen2Tokenizer": (
        qwen,
        {
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "bos_token": None,
            "unk_token": None,
            "additional_special_tokens": ["<|im_start|>", "<|im_end|>", "<|image_pad|>"],
            "add_prefix_space": False,
        },
        "qwen2_5_vl",
    ),
    "Qwen2TokenizerFast": (qwen, {"extra_special_tokens": {"image_token": "<|image_pad|>"}}, ""),
    "PreTrainedTokenizerFast of qwen2": (
        qwen,
        {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"},
        "qwen2",
    ),
    "Qwen3_5Tokenizer": (lambda: qwen(QWEN3_5_WORDS), {"eos_token": "<|im_end|>"}, "qwen3_5"),
    "LlamaTokenizer": (llama, {"legacy": False}, "llama"),
    "LlamaTokenizerFast": (lambda: llama("always"), {"legacy": True}, "llama"),
    "LlamaTokenizer of Llama 3": (byte_level, {"tokenizer_class": "LlamaTokenizer"}, "llama"),
    "GemmaTokenizerFast": (gemma, {}, "gemma3"),
    "BertTokenizer": (bert, {"do_lower_case": True}, "bert"),
    "BertTokenizerFast": (lambda: bert(False), {"do_lower_case": False}, ""),
}
"""Class in `tokenizer_config.json`: the tokenizer, further settings, the kind of model."""


@cache
def spell(name: str) -> str:
    """`tokenizer.json` of a tokenizer of `GENERIC` or `CLASSES`."""
    return (GENERIC[name] if name in GENERIC else CLASSES[name][0])().to_str()


def write_folder(folder: Path, tokenizer: str, files: dict[str, Any]) -> Path:
    """Write `tokenizer.json` and other JSON files by name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def write_generic(folder: Path, name: str, settings: Settings, **files: Any) -> Path:
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **settings}
    others = {f"{file}.json": content for file, content in files.items()}
    return write_folder(folder, spell(name), {"tokenizer_config.json": settings, **others})


def write_class(folder: Path, name: str, settings: Settings | None = None) -> Path:
    _, own, model_type = CLASSES[name]
    settings = {"tokenizer_class": name, **own, **(settings or {})}
    files: dict[str, Any] = {"tokenizer_config.json": settings}
    if model_type:
        files["config.json"] = {"model_type": model_type}
    return write_folder(folder, spell(name), files)
