"""Text and byte offsets of tokens agree with the library that owns the tokenizer."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.errors import RowError
from dfgen.tokens import TextTokenizer
from tests.tokens.families import ALL, RAW, spell, wrap

TEXTS = st.text(alphabet="the cat34.I é世\n😀<>|и", max_size=30)
FAMILIES = sorted(RAW)


@pytest.mark.parametrize("family", FAMILIES)
@given(data=st.data())
def test_decode_equals_the_library(family: str, data: st.DataObject) -> None:
    raw, own = RAW[family](), wrap(family)
    ids = data.draw(st.lists(st.integers(0, own.vocab_size - 1), max_size=12))
    text, offsets = own.render(ids)
    assert text == raw.decode(ids, skip_special_tokens=True)
    assert len(offsets) == len(ids) + 1
    assert offsets[0] == 0 and offsets[-1] == len(text.encode())
    assert (np.diff(offsets) >= 0).all()


def test_a_blank_that_begins_a_broken_run_of_bytes_is_no_blank_to_trim() -> None:
    raw, own = RAW["llama"](), wrap("llama")
    ids = [raw.token_to_id("<0x20>"), raw.token_to_id("<0x80>")]
    assert own.decode(ids) == raw.decode(ids) == "\ufffd\ufffd"


@pytest.mark.parametrize("family", sorted(ALL))
@given(text=TEXTS)
def test_encode_then_decode(family: str, text: str) -> None:
    tokenizer = ALL[family]()
    again = tokenizer.decode(tokenizer.encode(text))
    if family in {"bpe", "bytes", "byte_level", "llama"}:
        assert again == text
    assert tokenizer.encode_batch([text, ""]) == [tokenizer.encode(text), []]


@pytest.mark.parametrize("family", ["byte_level", "llama"])
@given(text=TEXTS)
def test_a_written_special_token_is_text(family: str, text: str) -> None:
    tokenizer = wrap(family)
    written = f"{text}<|end|>"
    assert tokenizer.decode(tokenizer.encode(written)) == written


CASES = [
    # family, tokens, the text each one owns
    ("byte_level", ["Ġthe", "Ġ", "cat"], [" the", " ", "cat"]),
    ("byte_level", ["Ã", "©"], ["\\xc3", "\\xa9"]),  # é in two tokens
    ("byte_level", ["Ã©", "<|end|>"], ["é", ""]),
    ("byte_level", ["<|end|>", "cat", "<think>"], ["", "cat", "<think>"]),
    ("byte_level", ["a", "Ã"], ["a", "\ufffd"]),  # cut off in mid-character
    ("byte_level", ["Ã", "a"], ["\ufffd", "a"]),
    ("byte_level", ["©", "©"], ["\ufffd", "\ufffd"]),  # continuation bytes alone
    ("byte_level", ["â", "Ŀ"], ["\\xef", "\\xbf\\xbd"]),  # two bytes of one broken character
    ("llama", ["▁the", "▁cat", "s"], ["the", " cat", "s"]),
    ("llama", ["<|end|>", "▁the"], ["", "the"]),  # a special token is not the first of the text
    ("llama", ["▁", "a"], ["", "a"]),
    ("llama", ["▁▁", "a"], [" ", "a"]),
    ("llama", ["a", "▁the"], ["a", " the"]),
    ("llama", ["<0xC3>", "<0xA9>"], ["\\xc3", "\\xa9"]),
    ("llama", ["<0xC3>", "a"], ["\ufffd", "a"]),
    ("llama", ["<0xE2>", "<0x82>", "a"], ["\ufffd", "\ufffd", "a"]),
    ("llama", ["a", "<0xE4>", "<0xB8>", "<0x96>"], ["a", "\\xe4", "\\xb8", "\\x96"]),
    ("metaspace", ["▁the", "▁cat"], ["the", " cat"]),
    ("metaspace", ["▁▁", "a"], ["", "a"]),
    ("wordpiece", ["the", "answer", "##s"], None),
]


@pytest.mark.parametrize(("family", "tokens", "spelled"), CASES)
def test_offsets_table(family: str, tokens: list[str], spelled: list[str] | None) -> None:
    raw, own = RAW[family](), wrap(family)
    ids = [raw.token_to_id(token) for token in tokens]
    if spelled is None:
        ids = raw.encode("the answer", add_special_tokens=False).ids
        assert "".join(spell(own, ids)) == "the answer"
        return
    assert None not in ids
    assert spell(own, ids) == spelled


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("bad", [-1, 10**6, 2**40])
def test_ids_beyond_the_vocabulary(family: str, bad: int) -> None:
    tokenizer = wrap(family)
    with pytest.raises(RowError) as caught:
        tokenizer.byte_offsets([0, bad])
    assert caught.value.reason == "token_out_of_vocabulary"
    assert caught.value.evidence["index"] == 1


def test_tiktoken() -> None:
    tiktoken = pytest.importorskip(
        "tiktoken", reason="a tokenizer of this kind needs it: pip install tiktoken"
    )
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"he": 256, b" t": 257, b" the": 258}
    encoding = tiktoken.Encoding(
        "small", pat_str=r"\s?\w+|\s+|[^\w\s]+", mergeable_ranks=ranks, special_tokens={"<e>": 300}
    )
    tokenizer = TextTokenizer.from_tiktoken(encoding)
    ids = [*tokenizer.encode("see the é<e>"), 300]
    assert tokenizer.decode(ids) == "see the é<e>" == encoding.decode(ids[:-1])
    assert spell(tokenizer, ids)[-1] == ""
    assert tokenizer.decode([0xE2, 0x82]) == encoding.decode([0xE2, 0x82])
    with pytest.raises(RowError):
        tokenizer.decode([299])


def test_sentencepiece() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its bindings raise DeprecationWarning on import
        sentencepiece = pytest.importorskip(
            "sentencepiece", reason="a tokenizer of this kind needs it: pip install sentencepiece"
        )
    import io

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the cat sat on the mat", "I see 3 cats", "a cat"] * 20),
        model_writer=model,
        vocab_size=300,
        byte_fallback=True,
        minloglevel=2,
        hard_vocab_limit=False,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    tokenizer = TextTokenizer.from_sentencepiece(processor)
    for text in ("the cat", "I see 4 世界", "naïve cats"):
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == processor.decode(ids) == text
        assert "".join(spell(tokenizer, ids)).encode("ascii", "ignore")
    broken = [processor.PieceToId("▁the"), processor.PieceToId("<0xE2>"), processor.PieceToId("a")]
    assert tokenizer.decode(broken) == processor.decode(broken)
    end = [*tokenizer.encode("a cat"), processor.eos_id()]
    assert tokenizer.decode(end) == "a cat"
    assert tokenizer.byte_offsets(end)[-2] == tokenizer.byte_offsets(end)[-1]
