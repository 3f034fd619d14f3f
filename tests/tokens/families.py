"""One small real tokenizer of each family."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.trainers import WordPieceTrainer

from dfgen.tokens import TextTokenizer
from tests.support.small_tokenizers import CORPUS, byte_level_bpe, one_token_per_byte

WORDS = ["▁", "▁the", "▁cat", "s", "▁sat", "▁3", "4", ".", "▁I", "▁see", "a", "t", "é", "世", "▁▁"]


def add_end(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.add_special_tokens([AddedToken("<|end|>", special=True)])
    tokenizer.add_tokens([AddedToken("<think>", special=False, normalized=False)])
    return tokenizer


@cache
def llama() -> Tokenizer:
    """Unigram with byte fallback, put together as Llama's tokenizer.json is."""
    vocab = [("<unk>", 0.0), *((f"<0x{byte:02X}>", -20.0) for byte in range(256))]
    vocab += [(word, -1.0 - len(word) * 0.1) for word in WORDS]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=0, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return add_end(tokenizer)


@cache
def metaspace() -> Tokenizer:
    """Unigram with the Metaspace pre-tokenizer and decoder, without byte fallback."""
    letters = [(char, -8.0) for char in "abcdefghijklmnopqrstuvwxyzABCI0123456789.,:<>|é世\n"]
    vocab = [("<unk>", 0.0), *letters, *((word, -3.0) for word in WORDS if len(word) > 1)]
    vocab += [("▁", -5.0)]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return add_end(tokenizer)


@cache
def wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    trainer = WordPieceTrainer(
        vocab_size=300, special_tokens=["[UNK]", "[SEP]"], show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    return add_end(tokenizer)


@cache
def byte_level() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {char: i for i, char in enumerate(alphabet)}
    merges = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("Ã", "©"), ("c", "a"), ("ca", "t")]
    for left, right in merges:
        vocab[left + right] = len(vocab)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return add_end(tokenizer)


RAW = {"byte_level": byte_level, "llama": llama, "metaspace": metaspace, "wordpiece": wordpiece}


@cache
def wrap(name: str) -> TextTokenizer:
    return TextTokenizer.from_tokenizers(RAW[name](), name)


def spell(tokenizer: TextTokenizer, ids: Any) -> list[str]:
    """The text of each token, by its byte span."""
    text, offsets = tokenizer.render(ids)
    raw = text.encode()
    edges = offsets.tolist()
    return [raw[a:b].decode("utf-8", "backslashreplace") for a, b in pairwise(edges)]


ALL = {
    "bpe": byte_level_bpe,
    "bytes": one_token_per_byte,
    **{name: (lambda name=name: wrap(name)) for name in RAW},
}
