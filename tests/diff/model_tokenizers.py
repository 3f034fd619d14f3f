"""Tokenizers put together as those of well-known model families are, trained on a few lines."""

from __future__ import annotations

import json
from functools import cache

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.trainers import BpeTrainer

from dfgen.tokens import TextTokenizer
from tests.support.small_tokenizers import CORPUS

LINES = [
    *CORPUS,
    "Therefore, the answer is $\\frac{3}{4}$.\n\nStep 2: We add 12 + 7 = 19, so x^2 = 361.\n",
    "the the theater there then than that this these those it is in and an answer area",
    "aaaa aaaa aaa aa a  bb   bbb\n\n\n- red\n- blue\n* 1,000 people (5 cm) [x] {y}",
    "答案是三个红色的圆圈。我们看到图中有两只猫，所以结果等于五。",
    "12345 1000 2024 3.14159 0.50 100% 7:45 a_1 b_2 \\left( \\right) \\times \\cdot",
]


@cache
def qwen_like(vocab_size: int = 700) -> TextTokenizer:
    """Byte-level BPE, NFC, one digit a piece, line breaks with the signs before them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        LINES * 3,
        BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=["<|endoftext|>", "<|im_end|>"],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    return TextTokenizer.from_tokenizers(tokenizer, "qwen-like")


@cache
def mistral_like(vocab_size: int = 900) -> TextTokenizer:
    """SentencePiece BPE with byte fallback and no pre-tokenizer: merges may reach far."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
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
    specials = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer.train_from_iterator(
        LINES * 3,
        BpeTrainer(vocab_size=vocab_size, special_tokens=specials, show_progress=False),
    )
    # The trainer adds its tokens as special ones; those of single bytes are text.
    tree = json.loads(tokenizer.to_str())
    tree["added_tokens"] = [t for t in tree["added_tokens"] if not t["content"].startswith("<0x")]
    return TextTokenizer.from_tokenizers(Tokenizer.from_str(json.dumps(tree)), "mistral-like")


MODELS = {"qwen": qwen_like, "mistral": mistral_like}
