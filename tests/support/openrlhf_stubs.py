"""Stands in for three packages that OpenRLHF imports and that need a GPU: none of them is called.

flash_attn, deepspeed and vllm cannot be installed on a machine without one. Their names can be
imported after `install_stubs()`; to use one of them is an error, so that no test rests on a stub.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

ROOTS = ("flash_attn", "deepspeed", "vllm")
ABSENT = "flash_attn.ops"
"""Where OpenRLHF has code of its own instead, which is to run."""


class StubModule(ModuleType):
    """A module in which every name is a class that cannot be made."""

    __version__ = "0.0.0"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": refuse})


def refuse(self: object, *arguments: Any, **named: Any) -> None:
    """Fail: a stub was used."""
    raise AssertionError(f"{type(self).__name__} is a stub")


class StubFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the three packages and everything in them."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] not in ROOTS or name.startswith(ABSENT):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return StubModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def install_stubs() -> None:
    """Make the three packages importable, after transformers has looked for the real ones."""
    import transformers.integrations
    import transformers.trainer

    assert transformers.integrations and transformers.trainer
    sys.meta_path.append(StubFinder())
