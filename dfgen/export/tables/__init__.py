"""Lists the tables that can be exported, each described in a file of its own.

A new table is a file here that ends in `TABLE = ExportTable(...)`, and its name in `_MODULES`. The
command line, manifests, cards, readers and writers know tables from `TABLES` alone.
"""

from __future__ import annotations

from dfgen.errors import InputError
from dfgen.export.tables import (
    chord,
    examples,
    groups,
    luffy,
    openrlhf,
    preference,
    privileged,
    sft,
    slime,
    stepwise,
    trajectories,
    verifiers,
)
from dfgen.export.tables.table import ExportTable

_MODULES = (
    *(groups, trajectories, preference, stepwise, sft, privileged, chord, luffy),
    *(examples, openrlhf, slime, verifiers),
)

TABLES: dict[str, ExportTable] = {module.TABLE.name: module.TABLE for module in _MODULES}
"""By name, in the order of the card."""

GROUPS = groups.TABLE
TRAJECTORIES = trajectories.TABLE


def find_table(name: str) -> ExportTable:
    """Find the table of this name. Raises `InputError`."""
    if name not in TABLES:
        raise InputError(f"there is no table {name!r}.", hint=f"Tables: {', '.join(TABLES)}.")
    return TABLES[name]
