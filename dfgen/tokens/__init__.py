"""Puts tokenizers of every family behind one interface: encode, decode, byte offsets."""

from dfgen.tokens.loading import load_tokenizer
from dfgen.tokens.tokenizer import TextTokenizer

__all__ = ["TextTokenizer", "load_tokenizer"]
