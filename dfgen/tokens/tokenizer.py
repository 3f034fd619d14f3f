"""Turns text into ids and back, with the bytes of every token, for a tokenizer of any family."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfgen.tokens.pieces import PieceTable

EncodeBatch = Callable[[list[str]], list[list[int]]]


class TextTokenizer:
    """Text to ids, ids to text, and the byte span of every token.

    Build one with `load_tokenizer`, or from an object with the `from_*` methods. It can be pickled:
    a worker process gets it in a fraction of the time that loading it by its name takes, because
    `transformers` and torch are not imported for it.

    Args:
        name: where it came from, for messages.
        sha256: hash of vocabulary, merges and special tokens (64 hex digits).
        table: the bytes of every id.
        encode: encodes one text without special tokens.
        encode_batch: the same for many texts.
        source: a `from_*` method and the library's object that it wraps.
        control_tokens: what special tokens are written as.
    """

    def __init__(
        self,
        name: str,
        sha256: str,
        table: PieceTable,
        encode: Callable[[str], list[int]],
        encode_batch: EncodeBatch,
        source: tuple[Callable[[Any, str], TextTokenizer], Any],
        control_tokens: Sequence[str],
    ) -> None:
        self.name = name
        self.sha256 = sha256
        self.table = table
        self.vocab_size = len(table.pieces)
        self.control_tokens = tuple(control_tokens)
        """How special tokens are written. Text that spells one is plain text to `encode`, but a
        control token to a model's own processor and to servers."""
        self._encode = encode
        self._encode_batch = encode_batch
        self._source = source

    def __reduce__(self) -> tuple[Callable[[Any, str], TextTokenizer], tuple[Any, str]]:
        build, wrapped = self._source
        return build, (wrapped, self.name)

    def encode(self, text: str) -> list[int]:
        """Return the canonical ids of a text.

        No special token is added, and text that spells one ("<|end|>") is encoded as plain text.
        """
        return self._encode(text)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return `encode` of each text."""
        return self._encode_batch(list(texts))

    def render(self, ids: Sequence[int] | NDArray[np.int64]) -> tuple[str, NDArray[np.int32]]:
        """Return `decode(ids)` and `byte_offsets(ids)` in one pass."""
        return self.table.render(ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, special tokens left out, nothing cleaned up.

        Bytes that are no valid UTF-8, such as half a character at the end, become U+FFFD.

        Raises:
            RowError: `token_out_of_vocabulary`.
        """
        return self.table.render(ids)[0]

    def byte_offsets(self, ids: Sequence[int]) -> NDArray[np.int32]:
        """Return int32[T+1]: token i covers bytes [o[i], o[i+1]) of `decode(ids)` in UTF-8.

        Special tokens are zero bytes wide. A token may begin or end inside a character.

        Raises:
            RowError: `token_out_of_vocabulary`.
        """
        return self.table.render(ids)[1]

    def is_special(self, ids: Sequence[int]) -> NDArray[np.bool_]:
        """Return bool[T]: the ids that never show in the text (end of text, padding, image)."""
        row = np.asarray(ids, dtype=np.int64)
        self.table.lookup(row)
        return self.table.special[row]

    def take_ending(self, ids: Sequence[int]) -> list[int]:
        """Return the special tokens at the end of a row, such as the end of text."""
        special = self.table.special
        first = len(ids)
        while first and special[ids[first - 1]]:
            first -= 1
        return list(ids[first:])

    @classmethod
    def from_tokenizers(cls, tokenizer: Any, name: str = "tokenizers") -> TextTokenizer:
        """Wrap a copy of a `tokenizers.Tokenizer`; the caller's object is not changed."""
        from tokenizers import Tokenizer

        return cls.wrap_tokenizers(Tokenizer.from_str(tokenizer.to_str()), name)

    @classmethod
    def wrap_tokenizers(cls, own: Any, name: str) -> TextTokenizer:
        """Wrap a `tokenizers.Tokenizer` that nobody else uses; some of its settings are changed."""
        from dfgen.tokens import huggingface

        own.no_truncation()
        own.no_padding()
        # Otherwise "<|end|>" written out in a text would become the token and then vanish.
        own.encode_special_tokens = True
        description = huggingface.describe(own)

        # The library offers the encoding without character offsets, which nobody reads here, for
        # batches only; even a batch of one is a quarter faster than `encode`.
        def encode(text: str) -> list[int]:
            ids: list[int] = own.encode_batch_fast([text], add_special_tokens=False)[0].ids
            return ids

        def encode_batch(texts: list[str]) -> list[list[int]]:
            return [e.ids for e in own.encode_batch_fast(texts, add_special_tokens=False)]

        return cls(
            name,
            _hash_description(description),
            huggingface.build_table(own, description),
            encode,
            encode_batch,
            (cls.wrap_tokenizers, own),
            [entry["content"] for entry in description["added_tokens"] if entry["special"]],
        )

    @classmethod
    def from_transformers(cls, tokenizer: Any, name: str | None = None) -> TextTokenizer:
        """Wrap a fast `transformers` tokenizer."""
        label = name or str(getattr(tokenizer, "name_or_path", "transformers"))
        return cls.from_tokenizers(tokenizer.backend_tokenizer, label)

    @classmethod
    def from_sentencepiece(cls, processor: Any, name: str = "sentencepiece") -> TextTokenizer:
        """Wrap a `sentencepiece.SentencePieceProcessor`."""
        from dfgen.tokens import sentencepiece

        def encode(text: str) -> list[int]:
            ids: list[int] = processor.EncodeAsIds(text)
            return ids

        table = sentencepiece.build_table(processor)
        sha256 = hashlib.sha256(processor.serialized_model_proto()).hexdigest()
        return cls(
            name,
            sha256,
            table,
            encode,
            lambda texts: [encode(text) for text in texts],
            (cls.from_sentencepiece, processor),
            sentencepiece.list_control_tokens(processor),
        )

    @classmethod
    def from_tiktoken(cls, encoding: Any, name: str | None = None) -> TextTokenizer:
        """Wrap a `tiktoken.Encoding`."""
        from dfgen.tokens import tiktoken

        ranks = sorted((i, token.hex()) for token, i in encoding._mergeable_ranks.items())
        specials = sorted((i, token) for token, i in encoding._special_tokens.items())
        table = tiktoken.build_table(encoding)
        return cls(
            name or str(encoding.name),
            _hash_json([ranks, specials, encoding._pat_str]),
            table,
            encoding.encode_ordinary,
            encoding.encode_ordinary_batch,
            (cls.from_tiktoken, encoding),
            [token for _, token in specials],
        )


def _hash_description(description: dict[str, Any]) -> str:
    """Hash what decides which text an id stands for; layout and library version do not count."""
    model = description["model"]
    vocab = model.get("vocab")
    if isinstance(vocab, dict):
        vocab = sorted((index, token) for token, index in vocab.items())
    merges = [
        merge.split(" ") if isinstance(merge, str) else list(merge)
        for merge in model.get("merges", ())
    ]
    added = sorted((t["id"], t["content"], t["special"]) for t in description["added_tokens"])
    return _hash_json([vocab, merges, added])


def _hash_json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
