"""Says what is marked where nobody set anything: defaults of `MaskConfig` without pydantic.

Importing pydantic is a third of the time that `dfgen diff` takes, and the difference itself needs
none of it. A test holds the two lists together, field by field.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from dfgen.config.mask import MaskConfig

_DEFAULTS = SimpleNamespace(
    correct="all",
    outcome="all",
    empty="reject",
    whole_atoms=True,
    ties=True,
    crumbs=True,
    crumb_max_units=2,
    crumb_max_chars=4,
    crumb_min_edit=4,
    format_only=True,
    moves=True,
    move_min_units=4,
    insertion_anchor="next",
    steps="auto",
    consequence_weight=None,
    value="off",
    metadata=[],
    max_cells=1_000_000_000,
    counterfactual="multiply",
)


def fill_in_defaults(config: MaskConfig | None) -> MaskConfig:
    """Return the settings, or those that hold where none were given (to read, not to change)."""
    return cast("MaskConfig", _DEFAULTS) if config is None else config
