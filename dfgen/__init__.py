"""Makes token-level difference masks for GRPO training of vision-language models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dfgen.version import VERSION

if TYPE_CHECKING:
    from dfgen.config.mask import MaskConfig
    from dfgen.diff.pair import PairDiff, diff_pair
    from dfgen.export.load import Rows, load_groups, load_masks
    from dfgen.tokens.loading import load_tokenizer

__all__ = [
    "MaskConfig",
    "PairDiff",
    "Rows",
    "__version__",
    "diff_pair",
    "load_groups",
    "load_masks",
    "load_tokenizer",
]
__version__ = VERSION

# Loaded when first asked for, so that `import dfgen` stays light.
_PLACES = {
    "MaskConfig": "dfgen.config.mask",
    "PairDiff": "dfgen.diff.pair",
    "Rows": "dfgen.export.load",
    "diff_pair": "dfgen.diff.pair",
    "load_groups": "dfgen.export.load",
    "load_masks": "dfgen.export.load",
    "load_tokenizer": "dfgen.tokens.loading",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'dfgen' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
