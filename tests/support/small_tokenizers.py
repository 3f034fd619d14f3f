"""Small real tokenizers, made in milliseconds: a byte-level BPE and one token per byte."""

from __future__ import annotations

from functools import cache

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from dfgen.tokens.tokenizer import TextTokenizer

CORPUS = [
    "Step 1: red circles: I see 3. Step 2: blue squares: there are 2. Answer: 5",
    "The area is 24 cm^2 because \\frac{1}{2} of 48 is 24, so the answer is (B).",
    "Зошит, мама і тато; 你好世界; नमस्ते; مرحبا بالعالم",
]


@cache
def byte_level_bpe(vocab_size: int = 400) -> TextTokenizer:
    """Byte-level BPE with merges learned from a few lines."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        CORPUS * 3,
        trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=["<pad>", "<|end|>"],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    return TextTokenizer.from_tokenizers(tokenizer, f"bpe-{vocab_size}")


@cache
def one_token_per_byte() -> TextTokenizer:
    """The finest split there is: characters of several bytes are split too."""
    return byte_level_bpe(258)
