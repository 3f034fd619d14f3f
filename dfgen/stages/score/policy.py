"""Makes sure that the engine that scores is the policy that drew the answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dfgen.engines.base import PREFIX_TEXT
from dfgen.errors import RunMismatchError
from dfgen.store.fingerprint import extract_facts

if TYPE_CHECKING:
    from dfgen.engines.base import EngineInfo
    from dfgen.store.run import Run
    from dfgen.tokens.tokenizer import TextTokenizer

_SAME = ("tokenizer", "chat_template", "weights", "lora")
"""Hashes that must agree. That of the processor is left to the comparison of logprobs: releases of
one library write the same processor differently."""

_TOLD = ("name", "version", "model", "revision", "dtype")
"""What is said of an engine where scores turn out to differ."""


def check_policy(
    run: Run, info: EngineInfo, tokenizer: TextTokenizer, section: str = "score"
) -> None:
    """Compare the engine with what the run says of the one that sampled.

    Args:
        run: its answers are there.
        info: of the engine that scores.
        tokenizer: of all ids in the run.
        section: of the pipeline, that names the engine.

    Raises:
        RunMismatchError: another tokenizer, chat template, adapter, or other weights.
    """
    drawn = extract_facts("sample", run.manifest.get_stage("sample").fingerprint)
    if "tokenizer" in drawn:
        other = [
            name
            for name in _SAME
            # Weights of a model on the Hub have no hash; their revision is a setting.
            if drawn.get(name) != info.hashes.get(name)
            and (name == "lora" or (name in drawn and name in info.hashes))
        ]
        if other:
            raise RunMismatchError(
                f"{info.model} is not the policy that drew these answers: another "
                f"{', '.join(name.replace('_', ' ') for name in other)}.",
                where=str(run.root),
                hint=f"Name in {section}.engine the very model, tokenizer, template and adapter "
                "that sampled; an adapter needs `engine: vllm` with `lora`.",
            )
        return
    if info.tokenizer is None and PREFIX_TEXT in info.features:
        # A server is given text and encodes it itself: no ids of ours reach it.
        return
    from dfgen.tokens.loading import load_tokenizer

    own = load_tokenizer(info.tokenizer or info.model, info.revision)
    if own.sha256 != tokenizer.sha256:
        raise RunMismatchError(
            f"the ids of this run belong to the tokenizer {tokenizer.name}, and {info.model} has "
            "another one.",
            where=str(run.root),
            hint=f"Name in {section}.engine the model to which these ids belong.",
        )


def tell_engines(run: Run, info: EngineInfo) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tell what the manifest says of the engine that sampled, and the same of the one that scores.

    What is not known of the first stands in neither.
    """
    then: Mapping[str, Any] = run.manifest.get_stage("sample").facts.get("engine") or {}
    known = {name: then[name] for name in _TOLD if then.get(name) is not None}
    now = {name: getattr(info, name) for name in known}
    processor = (then.get("hashes") or {}).get("processor")
    if processor is not None and processor != info.hashes.get("processor"):
        known["processor"], now["processor"] = "another one", "this one"
    return known, now
