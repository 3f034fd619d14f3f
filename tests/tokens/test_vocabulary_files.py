"""Bare vocabulary files: sentencepiece models, tiktoken's ranks, alone or in a folder."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import dfgen
from dfgen.demo import locate_model
from dfgen.errors import DfgenError, InputError
from dfgen.tokens import load_tokenizer
from dfgen.tokens.tiktoken import find_layout
from dfgen.tokens.vocabulary_files import import_package
from tests.tokens.families import spell

TEXTS = ["the cat sat", "I see 3 cats.", "naïve 世界 cats", " two  blanks", ""]


@cache
def train_sentencepiece() -> bytes:
    library = import_package("sentencepiece")
    model = io.BytesIO()
    library.SentencePieceTrainer.train(
        sentence_iterator=iter(["the cat sat on the mat", "I see 3 cats", "a cat"] * 20),
        model_writer=model,
        vocab_size=300,
        byte_fallback=True,
        minloglevel=2,
        hard_vocab_limit=False,
    )
    return model.getvalue()


RANKS = {bytes([byte]): byte for byte in range(256)}
RANKS |= {b"he": 256, b" t": 257, b" the": 258, b"at": 259, b" c": 260, b" cat": 261}


def write_ranks(path: Path, ranks: dict[bytes, int] = RANKS) -> Path:
    lines = [b"%s %d" % (base64.b64encode(token), rank) for token, rank in ranks.items()]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


@pytest.mark.parametrize("name", ["tokenizer.model", "spiece.model"])
def test_a_sentencepiece_model_alone_or_in_a_folder(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(train_sentencepiece())
    processor = import_package("sentencepiece").SentencePieceProcessor(model_file=str(file))
    for path in (tmp_path, file):
        loaded = load_tokenizer(str(path))
        for text in TEXTS:
            assert loaded.encode(text) == processor.EncodeAsIds(text)
            assert loaded.decode(loaded.encode(text)) == processor.decode(loaded.encode(text))


@pytest.mark.parametrize("name", ["small.tiktoken", "tiktoken.model", "tokenizer.model"])
def test_ranks_alone_or_in_a_folder(name: str, tmp_path: Path) -> None:
    file = write_ranks(tmp_path / name)
    encoding = import_package("tiktoken").Encoding(
        "small",
        pat_str=find_layout("cl100k_base").words,
        mergeable_ranks=RANKS,
        special_tokens={},
    )
    for path in (tmp_path, file):
        loaded = load_tokenizer(str(path))
        for text in TEXTS:
            assert loaded.encode(text) == encoding.encode_ordinary(text)
            assert loaded.decode(loaded.encode(text)) == text
        assert spell(loaded, [258, 261]) == [" the", " cat"]


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("tiktoken.model", {"auto_map": {"AutoTokenizer": ["tokenization.Small", None]}}),
        ("small.tiktoken", {"auto_map": {"AutoTokenizer": ["tokenization.Small", None]}}),
        ("small.tiktoken", {"tokenizer_class": "SmallTokenizer"}),
    ],
)
def test_special_tokens_of_ranks_stand_beside_them(
    name: str, named: dict[str, Any], tmp_path: Path
) -> None:
    """As models that bring code for their tokenizer have it: the code is not run."""
    write_ranks(tmp_path / name)
    settings = {
        **named,
        "added_tokens_decoder": {"262": {"content": "<|end|>", "special": True}},
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    loaded = load_tokenizer(str(tmp_path))
    assert loaded.decode([258, 262]) == " the"
    assert loaded.take_ending([258, 262]) == [262]
    assert loaded.decode(loaded.encode("<|end|>")) == "<|end|>"
    settings["added_tokens_decoder"] = 3
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match=r"no tokenizer_config\.json"):
        load_tokenizer(str(tmp_path))


def test_ranks_with_a_known_name_get_its_words_and_special_tokens(tmp_path: Path) -> None:
    loaded = load_tokenizer(str(write_ranks(tmp_path / "o200k_base.tiktoken")))
    assert loaded.decode([258, 199999]) == " the"
    other = load_tokenizer(str(write_ranks(tmp_path / "r50k_base.tiktoken")))
    assert len({loaded.sha256, other.sha256}) == 2


PUBLISHED = {
    "gpt2": "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++"
    "|\\s++$|\\s+(?!\\S)|\\s",
    "cl100k_base": "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+"
    "| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s",
}


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_words_are_those_of_the_package(name: str) -> None:
    """The package writes the same words in a form that backtracks less."""
    library = import_package("tiktoken")
    kinds = {"special_tokens": {}, "mergeable_ranks": RANKS}
    own = library.Encoding("own", pat_str=find_layout(name).words, **kinds)
    theirs = library.Encoding("theirs", pat_str=PUBLISHED[name], **kinds)
    for text in [*TEXTS, "I'LL don't\n\n  x 12345\t 世界!!\r\n", "  \n \n a  ", "a   ", "\n\n\n"]:
        assert own.encode_ordinary(text) == theirs.encode_ordinary(text), text


def test_several_files_are_not_guessed_between(tmp_path: Path) -> None:
    write_ranks(tmp_path / "a.tiktoken")
    write_ranks(tmp_path / "b.tiktoken")
    with pytest.raises(InputError, match=r"several tokenizers.*a\.tiktoken, b\.tiktoken"):
        load_tokenizer(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.tiktoken", b"AA== 0\nnot a rank\n", "ranks"),
        ("x.tiktoken", b"AA== 0\n", "255 of the 256"),
        ("x.tiktoken", b"", "256 of the 256"),
        ("x.model", b"no model at all", "no sentencepiece model"),
        ("x.model", b"", "no sentencepiece model"),
    ],
)
def test_broken_files(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    for path in (tmp_path / name, tmp_path):
        with pytest.raises(InputError, match=message):
            load_tokenizer(str(path))


@pytest.mark.parametrize("kind", ["sentencepiece", "tiktoken"])
def test_a_worker_gets_it_as_it_is(kind: str, tmp_path: Path) -> None:
    if kind == "tiktoken":
        file = write_ranks(tmp_path / "o200k_base.tiktoken")
    else:
        file = tmp_path / "tokenizer.model"
        file.write_bytes(train_sentencepiece())
    tokenizer = load_tokenizer(str(file))
    pickled = pickle.dumps(tokenizer)
    file.unlink()
    copy = pickle.loads(pickled)
    assert (copy.name, copy.sha256) == (tokenizer.name, tokenizer.sha256)
    assert copy.encode_batch(TEXTS) == tokenizer.encode_batch(TEXTS)


def test_demo_names() -> None:
    by_name = dfgen.load_tokenizer("demo:policy")
    by_folder = dfgen.load_tokenizer(str(locate_model("policy")))
    assert (by_name.name, by_name.sha256) == (by_folder.name, by_folder.sha256)
    with pytest.raises(DfgenError, match="no demo model 'teacher'"):
        dfgen.load_tokenizer("demo:teacher")


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_model_in_the_cache_of_the_hub(tmp_path: Path) -> None:
    """Offline, from the files that were fetched before; torch is not imported."""
    repo = tmp_path / "hub" / "models--somebody--model"
    snapshot = repo / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    policy = locate_model("policy")
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        (snapshot / name).write_bytes((policy / name).read_bytes())
    script = (
        "import sys\n"
        "from dfgen import load_tokenizer\n"
        "for revision in (None, 'main', sys.argv[1]):\n"
        "    loaded = load_tokenizer('somebody/model', revision)\n"
        "    print(loaded.name, loaded.sha256, sorted({'torch', 'transformers'} & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, COMMIT],
        env={**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    line = f"somebody/model {load_tokenizer(str(policy)).sha256} []\n"
    assert done.stdout == line * 3
