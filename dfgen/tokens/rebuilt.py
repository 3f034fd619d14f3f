"""Handles tokenizer classes that `transformers` builds anew instead of using `tokenizer.json`.

From version 5 on, a class such as `Qwen2Tokenizer` takes only the vocabulary and the merges from
`tokenizer.json`; how a text is normalised, cut and decoded comes from the class. For files as they
are published both are the same, and `Rule.matches` says whether they are. A class without a rule
here is left to `transformers`. Older versions take the file as it is, which then is the same too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

GENERIC_CLASSES = frozenset(
    {
        *("PreTrainedTokenizerFast", "PreTrainedTokenizer", "TokenizersBackend", "PythonBackend"),
        *("BloomTokenizer", "BloomTokenizerFast"),
    }
)
"""Class names under which `tokenizer.json` is taken as it is."""

FORCED_BY_MODEL_TYPE = {
    "hyperclovax_vision_v2": "GPT2Tokenizer",
    "qwen2": "Qwen2Tokenizer",
    "qwen3_5": "Qwen3_5Tokenizer",
    "qwen3_5_moe": "Qwen3_5Tokenizer",
    "qwen3_5_moe_text": "Qwen3_5Tokenizer",
    "qwen4_exp": "Qwen3_5Tokenizer",
    "siglip2": "Siglip2Tokenizer",
}
"""Kinds of model whose class is fixed, whatever `tokenizer_config.json` says (`transformers` 5)."""

_QWEN2_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN3_5_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

Build = Callable[[dict[str, Any]], Any]
"""Makes an empty `tokenizers.Tokenizer` of a class from `tokenizer_config.json`."""


@dataclass(frozen=True)
class Rule:
    """How a class builds its tokenizer.

    Attributes:
        build: makes it, with an empty vocabulary.
        special_tokens: those that it has unless the settings say otherwise.
        restates_special_tokens: at the end it adds them all again, as plain strings.
    """

    build: Build
    special_tokens: dict[str, str | None]
    restates_special_tokens: bool = False

    def matches(
        self, description: dict[str, Any], settings: dict[str, Any], unknown: object
    ) -> bool:
        """Say whether `tokenizer.json` splits, joins and decodes texts as the class does.

        Args:
            description: the content of `tokenizer.json`.
            settings: the content of `tokenizer_config.json`.
            unknown: the token for what the vocabulary lacks, if the folder or the class has one.
        """
        from tokenizers import Tokenizer

        model = description["model"]
        if "type" not in model or not isinstance(model.get("vocab"), dict):
            return False
        empty = dict(model, vocab={})
        if "merges" in model:
            empty["merges"] = []
        bare = {**description, "model": empty, "added_tokens": [], "post_processor": None}
        own = self.build({**settings, "unk_token": str(unknown)})
        return _read_parts(Tokenizer.from_str(json.dumps(bare))) == _read_parts(own)


def _read_parts(tokenizer: Any) -> dict[str, Any]:
    """Return what decides ids and text, in one spelling."""
    description = json.loads(tokenizer.to_str())
    parts = {key: description[key] for key in ("normalizer", "pre_tokenizer", "decoder", "model")}
    if (parts["decoder"] or {}).get("type") == "ByteLevel":
        parts["decoder"] = "ByteLevel"  # its settings are the pre-tokenizer's
    for key in ("continuing_subword_prefix", "end_of_word_suffix"):
        if key in parts["model"]:
            parts["model"][key] = parts["model"][key] or None
    dropped: dict[str, Any] = _drop_trimming(parts)
    return dropped


def _drop_trimming(value: Any) -> Any:
    """Leave out `trim_offsets`, which moves character offsets only."""
    if isinstance(value, dict):
        return {key: _drop_trimming(part) for key, part in value.items() if key != "trim_offsets"}
    if isinstance(value, list):
        return [_drop_trimming(part) for part in value]
    return value


def _build_gpt2(settings: dict[str, Any]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE())
    prefix = bool(settings.get("add_prefix_space", False))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _build_qwen(words: str) -> Build:
    def build(settings: dict[str, Any]) -> Any:
        from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

        tokenizer = Tokenizer(models.BPE())
        prefix = bool(settings.get("add_prefix_space"))
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(words), behavior="isolated", invert=False),
                pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False),
            ]
        )
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer

    return build


def _build_llama(settings: dict[str, Any]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    given = settings.get("add_prefix_space")
    prefix = True if given is None else bool(given)
    scheme = "never" if not prefix else "always" if settings.get("legacy", False) else "first"
    tokenizer = Tokenizer(models.BPE(fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme=scheme, split=False)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if prefix:
        steps.append(decoders.Strip(" ", 1, 0))
    tokenizer.decoder = decoders.Sequence(steps)
    return tokenizer


def _build_gemma(settings: dict[str, Any]) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(
        models.BPE(unk_token=settings["unk_token"], fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous")
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(steps)
    return tokenizer


def _build_bert(settings: dict[str, Any]) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordPiece(unk_token=settings["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    return tokenizer


_ENDOFTEXT = "<|endoftext|>"
_QWEN_SPECIAL = {"unk_token": _ENDOFTEXT, "eos_token": _ENDOFTEXT, "pad_token": _ENDOFTEXT}

CLASSES = {
    "BertTokenizer": Rule(
        _build_bert,
        {
            **{"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]"},
            **{"cls_token": "[CLS]", "mask_token": "[MASK]"},
        },
    ),
    "GemmaTokenizer": Rule(
        _build_gemma,
        {
            **{"unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>"},
            **{"pad_token": "<pad>", "mask_token": "<mask>"},
        },
    ),
    "GPT2Tokenizer": Rule(
        _build_gpt2, {"unk_token": _ENDOFTEXT, "bos_token": _ENDOFTEXT, "eos_token": _ENDOFTEXT}
    ),
    "LlamaTokenizer": Rule(
        _build_llama, {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    ),
    "Qwen2Tokenizer": Rule(
        _build_qwen(_QWEN2_WORDS), dict(_QWEN_SPECIAL), restates_special_tokens=True
    ),
    "Qwen3_5Tokenizer": Rule(_build_qwen(_QWEN3_5_WORDS), dict(_QWEN_SPECIAL)),
}
