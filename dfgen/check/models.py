"""Checks models that would be loaded here: their packages, directories, Hub ids, adapters."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from dfgen.check.finding import Finding, describe_error
from dfgen.check.scope import EngineUse, Scope
from dfgen.config.engine import OpenAIConfig, TransformersConfig
from dfgen.config.pipeline import name_tokenizer
from dfgen.config.vllm import VllmConfig
from dfgen.demo import resolve_model
from dfgen.engines.processor.location import (
    check_location,
    check_processor_files,
    list_weights,
)
from dfgen.engines.processor.model_files import NAMES, ModelFiles, read_model_files
from dfgen.errors import DfgenError, MissingExtraError

_PACKAGES = {"transformers": ("torch", "local"), "vllm": ("vllm", "vllm")}
"""Of an engine: the module that it needs, and the extra of dfgen that brings it."""


def check_model(use: EngineUse, scope: Scope) -> Iterator[Finding]:
    """Find what keeps an engine from loading its model; nothing is said of one behind a server."""
    config = use.config
    if isinstance(config, OpenAIConfig):
        return
    module, extra = _PACKAGES[config.engine]
    if find_spec(module) is None:
        yield describe_error(MissingExtraError(module, extra), f"{use.section}.engine")
    if isinstance(config, VllmConfig) and config.lora is not None:
        from dfgen.engines.vllm.lora import find_adapter

        try:
            find_adapter(config.lora)
        except DfgenError as error:
            yield describe_error(error, f"{use.section}.lora")
    where = f"{use.section}.model"
    try:
        directory = find_directory(config)
        if directory is not None:
            check_processor_files(config.model, directory)
    except DfgenError as error:
        yield describe_error(error, where)
        return
    if directory is None:
        yield from _check_hub_model(config.model, config.revision, where, scope)


def check_tokenizer(scope: Scope) -> Iterator[Finding]:
    """Find what keeps the policy's tokenizer, in which everything is counted, from loading."""
    try:
        name, revision = name_tokenizer(scope.pipeline)
        if scope.network or Path(name).exists() or _is_cached(name, revision):
            _ = scope.tokenizer
    except DfgenError as error:
        yield describe_error(error)


def find_directory(config: TransformersConfig | VllmConfig) -> Path | None:
    """Find the directory of a model; None: it is one of the Hub.

    Raises:
        DfgenError: it is neither.
    """
    return check_location(resolve_model(config.model))


def find_model_files(config: TransformersConfig | VllmConfig) -> ModelFiles | None:
    """Read what a model's files say, of its directory or the Hub's cache; None if neither has it.

    Raises:
        DfgenError: the name is no model, or a file of it cannot be read.
    """
    directory = find_directory(config) or _find_cached(config.model, config.revision)
    return None if directory is None else read_model_files(directory)


def _check_hub_model(
    model: str, revision: str | None, where: str, scope: Scope
) -> Iterator[Finding]:
    from huggingface_hub import constants, snapshot_download

    cached = _find_cached(model, revision)
    if cached is not None:
        if constants.HF_HUB_OFFLINE and not list_weights(cached):
            yield Finding(
                "error",
                f"the Hub's cache holds {model!r} without its weights, and HF_HUB_OFFLINE is set.",
                f"{where}: {cached}",
                f"On a machine with a network: hf download {model}",
            )
        return
    if constants.HF_HUB_OFFLINE:
        yield Finding(
            "error",
            f"{model!r} is neither a directory here nor in the Hub's cache, and HF_HUB_OFFLINE is "
            "set.",
            where,
            f"Name a directory, or on a machine with a network: hf download {model}",
        )
    elif scope.network:
        try:
            snapshot_download(model, revision=revision, allow_patterns=list(NAMES), etag_timeout=5)
        except (OSError, ValueError) as error:  # the Hub's errors are of these kinds
            yield _explain_hub(model, revision, where, error)


def _explain_hub(model: str, revision: str | None, where: str, error: Exception) -> Finding:
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, GatedRepoError):
        what = f"the Hub gives {model!r} only to those who have asked for it."
        return Finding(
            "error", what, where, "Ask on its page, then set HF_TOKEN or `hf auth login`"
        )
    if isinstance(error, RevisionNotFoundError):
        return Finding("error", f"{model!r} has no revision {revision!r} on the Hub.", where)
    if isinstance(error, RepositoryNotFoundError | HFValidationError):
        what = f"{model!r} is neither a directory here nor a model on the Hub."
        return Finding("error", what, where, "Check the name, and HF_TOKEN for a private model.")
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return Finding(
        "error",
        f"{model!r} is no directory here, and the Hub cannot be asked for it: {first}",
        where,
        "Check the name and the network. HF_HUB_OFFLINE=1 takes what is in the cache.",
    )


def _is_cached(model: str, revision: str | None) -> bool:
    return _find_cached(model, revision) is not None


def _find_cached(model: str, revision: str | None) -> Path | None:
    """The folder in the Hub's cache that holds this model's config or tokenizer."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    for name in ("config.json", "tokenizer.json"):
        try:
            found = try_to_load_from_cache(model, name, revision=revision)
        except HFValidationError:
            return None
        if isinstance(found, str):
            return Path(found).parent
    return None
