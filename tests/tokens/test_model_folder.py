"""A tokenizer read without transformers equals that of AutoTokenizer: ids, bytes and hash."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer
from transformers.models.auto import tokenization_auto

from dfgen.tokens import TextTokenizer, load_tokenizer, model_folder, rebuilt
from tests.tokens.model_folders import (
    CLASSES,
    GENERIC,
    spell,
    write_class,
    write_folder,
    write_generic,
)

DEMO = Path(__file__).parents[2] / "dfgen" / "demo" / "models"
SAMPLES = [
    "the cat sat",
    "  the  Cats ",
    "é世 <|endoftext|><image> naïve \ufb01",
    "<think>I'll see 3 45\n\n x</think>",
    "a [MASK] <new> <s>b",
    "",
]
TEXTS = st.text(alphabet="the caTs34.I'l é世\n😀<>|\u0301и▁", max_size=40)


def wrap_both(folder: Path) -> tuple[TextTokenizer, TextTokenizer]:
    own = model_folder.read_tokenizer(folder)
    assert own is not None, "left to transformers"
    theirs = AutoTokenizer.from_pretrained(str(folder))
    return TextTokenizer.from_tokenizers(own), TextTokenizer.from_transformers(theirs)


def assert_same(own: TextTokenizer, theirs: TextTokenizer, texts: list[str]) -> None:
    assert own.sha256 == theirs.sha256
    assert own.table.pieces == theirs.table.pieces
    assert own.table.special.tolist() == theirs.table.special.tolist()
    assert own.encode_batch(texts) == theirs.encode_batch(texts)
    rows = theirs.encode_batch(texts)
    assert [own.decode(row) for row in rows] == [theirs.decode(row) for row in rows]


@pytest.mark.parametrize("name", sorted(GENERIC))
def test_a_file_that_is_taken_as_it_is(name: str, tmp_path: Path) -> None:
    assert_same(*wrap_both(write_generic(tmp_path, name, {})), SAMPLES)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_class_that_builds_the_same(name: str, tmp_path: Path) -> None:
    assert_same(*wrap_both(write_class(tmp_path, name)), SAMPLES)


@pytest.mark.parametrize("name", ["policy", "repairer"])
def test_the_demo_models(name: str) -> None:
    assert_same(*wrap_both(DEMO / name), SAMPLES)


@pytest.mark.parametrize("name", [*sorted(GENERIC), *sorted(CLASSES)])
@given(texts=st.lists(TEXTS, max_size=4))
@settings(max_examples=25)
def test_random_texts(name: str, texts: list[str]) -> None:
    assert_same(*load_once(name), texts)


_LOADED: dict[str, tuple[TextTokenizer, TextTokenizer]] = {}


def load_once(name: str) -> tuple[TextTokenizer, TextTokenizer]:
    if name not in _LOADED:
        with tempfile.TemporaryDirectory() as folder:
            write = write_generic if name in GENERIC else write_class
            _LOADED[name] = wrap_both(write(Path(folder), name, {}))
    return _LOADED[name]


# What the files beside tokenizer.json may name, drawn at random and put together.
WORDS = st.sampled_from(
    ["<|endoftext|>", "<image>", "<think>", "<new>", "<two>", "<s>", "[MASK]", "the", "<|im_end|>"]
)
FLAGS = {key: st.booleans() for key in ("lstrip", "rstrip", "single_word", "normalized")}
ENTRIES = st.fixed_dictionaries({"content": WORDS, **FLAGS, "special": st.booleans()})
TYPED = ENTRIES.map(lambda entry: {"__type": "AddedToken", **entry})
TOKENS = st.one_of(WORDS, TYPED)
ROLES = ["bos_token", "eos_token", "unk_token", "pad_token", "image_token", "boi_token"]


def draw_settings() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            **{role: st.one_of(st.none(), TOKENS) for role in ROLES},
            "add_bos_token": st.booleans(),
            "additional_special_tokens": st.lists(TOKENS, max_size=3),
            "extra_special_tokens": st.one_of(
                st.lists(WORDS, max_size=3),
                st.dictionaries(st.sampled_from(["video_token", "audio_token"]), WORDS),
            ),
            "added_tokens_decoder": st.dictionaries(
                st.sampled_from(["0", "1", "5", "379", "380", "381", "382", "383", "500"]),
                ENTRIES,
                max_size=4,
            ),
            "model_max_length": st.just(512),
            "clean_up_tokenization_spaces": st.booleans(),
            "split_special_tokens": st.booleans(),
        },
    )


SPECIAL_MAPS = st.fixed_dictionaries(
    {},
    optional={
        **{role: st.one_of(WORDS, ENTRIES) for role in ROLES},
        "additional_special_tokens": st.lists(WORDS, max_size=2),
    },
)
ADDED = st.dictionaries(WORDS, st.integers(378, 390), max_size=3)


@given(
    name=st.sampled_from(["gpt2", "qwen2", "metaspace", "llama_bpe", *sorted(CLASSES)]),
    given_settings=draw_settings(),
    special_map=st.none() | SPECIAL_MAPS,
    added=st.none() | ADDED,
)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_files_beside_it_say_more(
    name: str,
    given_settings: dict[str, Any],
    special_map: dict[str, Any] | None,
    added: dict[str, int] | None,
) -> None:
    """Whatever the files name: the same as AutoTokenizer, or left to it."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if name in GENERIC:
            write_generic(folder, name, given_settings)
        else:
            write_class(folder, name, given_settings)
        for file, content in (("special_tokens_map", special_map), ("added_tokens", added)):
            if content is not None:
                (folder / f"{file}.json").write_text(json.dumps(content))
        own = model_folder.read_tokenizer(folder)
        if own is None:
            return
        theirs = AutoTokenizer.from_pretrained(str(folder))
        assert_same(
            TextTokenizer.from_tokenizers(own), TextTokenizer.from_transformers(theirs), SAMPLES
        )


MORE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a special token by role": ({"eos_token": "<new>"}, {}),
    "a special token of a kind of its own": ({"image_token": "<new>"}, {}),
    "special tokens in a list": ({"additional_special_tokens": ["<new>", "<two>"]}, {}),
    "special tokens in a table": ({"extra_special_tokens": {"video_token": "<new>"}}, {}),
    "added tokens with ids": (
        {"added_tokens_decoder": {"385": {"content": "<new>", "special": True, "lstrip": True}}},
        {},
    ),
    "an added token that is special here": (
        {"added_tokens_decoder": {"382": {"content": "<think>", "special": True}}},
        {},
    ),
    "a map of special tokens": (
        {},
        {"special_tokens_map": {"pad_token": {"content": "<new>", "rstrip": True}}},
    ),
    "a file of added tokens": ({}, {"added_tokens": {"<new>": 384, "<two>": 385}}),
    "both old files": (
        {},
        {"added_tokens": {"<new>": 384}, "special_tokens_map": {"eos_token": "<new>"}},
    ),
}


@pytest.mark.parametrize("case", sorted(MORE))
@pytest.mark.parametrize("name", ["gpt2", "qwen2", "llama_bpe", "metaspace"])
def test_added_tokens_are_added_without_transformers(name: str, case: str, tmp_path: Path) -> None:
    written, files = MORE[case]
    own, theirs = wrap_both(write_generic(tmp_path, name, written, **files))
    assert_same(own, theirs, SAMPLES)
    plain = TextTokenizer.from_tokenizers(GENERIC[name]())
    assert own.sha256 != plain.sha256


LEFT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "code of its own": ({"auto_map": {"AutoTokenizer": ["a.B", None]}}, {}),
    "code of its own, as it was written once": ({"auto_map": ["a.B", None]}, {}),
    "files by version": ({"fast_tokenizer_files": ["tokenizer.4.0.0.json"]}, {}),
    "a class without a rule": ({"tokenizer_class": "CohereTokenizer"}, {}),
    "another splitting than the class's": ({"tokenizer_class": "GPT2Tokenizer"}, {}),
    "no class": ({"tokenizer_class": None}, {"config": {"model_type": "qwen2_vl"}}),
    "Mistral's own format": ({}, {"tekken": {}}),
    "settings that are no table": ({}, {"config": []}),
    "a token that is no token": ({"extra_special_tokens": [3]}, {}),
}


@pytest.mark.parametrize("case", sorted(LEFT))
def test_what_is_left_to_transformers(case: str, tmp_path: Path) -> None:
    written, files = LEFT[case]
    assert model_folder.read_tokenizer(write_generic(tmp_path, "qwen2", written, **files)) is None


def test_what_is_left_to_transformers_loads_all_the_same(tmp_path: Path) -> None:
    folder = write_generic(tmp_path, "qwen2", {"tokenizer_class": "GPT2Tokenizer"})
    theirs = TextTokenizer.from_transformers(AutoTokenizer.from_pretrained(str(folder)))
    assert_same(load_tokenizer(str(folder)), theirs, SAMPLES)


@pytest.mark.parametrize("content", ["", "{}", "[]", "{", '{"model": {"type": "BPE"}}'])
def test_broken_files_are_left_to_transformers(content: str, tmp_path: Path) -> None:
    for broken in ("tokenizer.json", "tokenizer_config.json"):
        folder = write_generic(tmp_path, "gpt2", {})
        (folder / broken).write_text(content)
        assert model_folder.read_tokenizer(folder) is None or content == "{}" != broken


def test_every_kind_of_model_with_a_class_of_its_own_is_known() -> None:
    """Read from the installed transformers; a new one must be added to the table."""
    names = tokenization_auto.TOKENIZER_MAPPING_NAMES
    forced = {
        kind: names[kind].removesuffix("Fast")
        for kind in tokenization_auto.MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS
        if names[kind] not in rebuilt.GENERIC_CLASSES
    }
    assert forced.items() <= rebuilt.FORCED_BY_MODEL_TYPE.items()


@pytest.mark.parametrize("name", ["gpt2", "Qwen2Tokenizer", "BertTokenizer", "LlamaTokenizer"])
def test_it_imports_neither_transformers_nor_torch(name: str, tmp_path: Path) -> None:
    write = write_generic if name in GENERIC else write_class
    folder = write(tmp_path, name, {})
    script = (
        "import sys\n"
        "from dfgen import load_tokenizer\n"
        "ids = load_tokenizer(sys.argv[1]).encode('the cat')\n"
        "print(ids, sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", script, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{load_tokenizer(str(folder)).encode('the cat')} []\n"
    assert done.stderr == ""


def test_a_broken_tokenizer_json_beside_settings_is_told(tmp_path: Path) -> None:
    from dfgen.errors import InputError

    folder = write_folder(
        tmp_path,
        spell("gpt2")[:-9],
        {"tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer"}},
    )
    with pytest.raises(InputError, match="no tokenizer could be loaded"):
        load_tokenizer(str(folder))
