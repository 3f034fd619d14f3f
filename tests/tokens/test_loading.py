"""Tokenizers are found where people keep them."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from dfgen.errors import InputError
from dfgen.tokens import load_tokenizer
from tests.tokens.families import RAW, byte_level, wrap


@pytest.mark.parametrize("family", sorted(RAW))
def test_file_and_folder(family: str, tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    RAW[family]().save(str(file))
    loaded = load_tokenizer(str(file))
    assert loaded.sha256 == load_tokenizer(str(tmp_path)).sha256 == wrap(family).sha256
    assert loaded.encode("the cat") == wrap(family).encode("the cat")


def test_hashes_tell_tokenizers_apart() -> None:
    assert len({wrap(family).sha256 for family in RAW}) == len(RAW)
    changed = byte_level()
    before = wrap("byte_level").sha256
    other = json.loads(changed.to_str())
    other["added_tokens"][0]["special"] = False
    from tokenizers import Tokenizer

    from dfgen.tokens import TextTokenizer

    assert TextTokenizer.from_tokenizers(Tokenizer.from_str(json.dumps(other))).sha256 != before


def test_vocabulary_and_merges(tmp_path: Path) -> None:
    description = json.loads(byte_level().to_str())
    (tmp_path / "vocab.json").write_text(json.dumps(description["model"]["vocab"]))
    merges = "\n".join(" ".join(merge) for merge in description["model"]["merges"])
    (tmp_path / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    loaded = load_tokenizer(str(tmp_path))
    assert loaded.encode(" the cat") == wrap("byte_level").encode(" the cat")
    assert loaded.decode(loaded.encode("é 世")) == "é 世"


def test_word_list(tmp_path: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "A"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    loaded = load_tokenizer(str(tmp_path))
    assert loaded.decode(loaded.encode("the cats")) == "the cats"


def test_model_folder(tmp_path: Path) -> None:
    PreTrainedTokenizerFast(tokenizer_object=byte_level(), eos_token="<|end|>").save_pretrained(
        tmp_path
    )
    loaded = load_tokenizer(str(tmp_path))
    ids = [*loaded.encode(" the cat"), byte_level().token_to_id("<|end|>")]
    assert loaded.decode(ids) == " the cat"
    assert loaded.take_ending(ids) == ids[-1:]
    assert loaded.is_special(ids).tolist() == [False] * (len(ids) - 1) + [True]


@pytest.mark.parametrize("content", ["{}", "no json", '{"model": 1}'])
def test_not_a_tokenizer(content: str, tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(content)
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        load_tokenizer(str(file))


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no tokenizer in this folder"):
        load_tokenizer(str(tmp_path))
    (tmp_path / "weights.bin").write_bytes(b"")
    with pytest.raises(InputError, match="no tokenizer file"):
        load_tokenizer(str(tmp_path / "weights.bin"))
    with pytest.raises(InputError, match="no tokenizer could be loaded"):
        load_tokenizer(str(tmp_path / "missing"))


def test_a_decoder_that_hides_its_pieces() -> None:
    from tokenizers import Tokenizer, decoders, models

    from dfgen.tokens import TextTokenizer

    tokenizer = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    tokenizer.decoder = decoders.CTC()
    with pytest.raises(InputError, match="decoder is 'CTC'"):
        TextTokenizer.from_tokenizers(tokenizer)


@pytest.mark.parametrize("family", sorted(RAW))
def test_a_pickled_tokenizer_is_the_same(family: str) -> None:
    tokenizer = wrap(family)
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert (copy.name, copy.sha256, copy.table.pieces) == (
        tokenizer.name,
        tokenizer.sha256,
        tokenizer.table.pieces,
    )
    for text in (" the cat sat. é 世", "<|end|> written out", ""):
        assert copy.encode(text) == tokenizer.encode(text)
        assert copy.encode_batch([text, "a"]) == tokenizer.encode_batch([text, "a"])


def test_a_worker_gets_it_without_heavy_imports(tmp_path: Path) -> None:
    """Importing transformers and torch takes seconds of every worker."""
    file = tmp_path / "tokenizer.pickle"
    model = Path(__file__).parents[2] / "dfgen" / "demo" / "models" / "policy"
    tokenizer = load_tokenizer(str(model))
    file.write_bytes(pickle.dumps(tokenizer))
    script = (
        "import pickle, sys\n"
        "tokenizer = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(tokenizer.encode('Answer: 3'), sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{tokenizer.encode('Answer: 3')} []\n"
