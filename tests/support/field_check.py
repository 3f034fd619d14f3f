"""Compares what an adapter makes with a trainer's types, noted field by field from its sources.

For trainers that have no package which runs here. A note is a JSON file:

    {"source": ..., "commit": ..., "files": [...], "types": {NAME: {FIELD: RULE}}}

A rule has `type` (int, float, str, bool, bytes, any, tensor, None, list[X], dict[str, X], the NAME
of another type, or several with `|`), and may have `required`, `one_of`, `value` (the name of the
number that it must be), `length` and `inner` (the names of the lengths of a list and of its lists).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Types = dict[str, dict[str, dict[str, Any]]]
PLAIN = {"int": int, "str": str, "bool": bool, "bytes": bytes}


def load_types(trainer: str) -> Types:
    """Read the note on a trainer."""
    note = json.loads(
        (Path(__file__).parent / "trainer_types" / f"{trainer}.json").read_text("utf-8")
    )
    assert re.fullmatch("[0-9a-f]{40}", note["commit"]), trainer
    types: Types = note["types"]
    return types


def check_fields(
    types: Types, name: str, value: Mapping[str, Any], sizes: Mapping[str, int | Sequence[int]]
) -> None:
    """Fail with the name of the first field that is not as the type says.

    Args:
        types: of `load_types`.
        name: of the type.
        value: its fields.
        sizes: what the names of lengths stand for; of `inner`, one length for each list.
    """
    rules = types[name]
    unknown = sorted(set(value) - set(rules))
    assert not unknown, f"{name} has no field {unknown}"
    for field, rule in rules.items():
        where = f"{name}.{field}"
        if field not in value:
            assert not rule.get("required"), f"{where} is missing"
            continue
        found = value[field]
        assert fits(types, rule["type"], found), f"{where}: {found!r:.80} is no {rule['type']}"
        if found is None:
            continue
        if "one_of" in rule:
            assert found in rule["one_of"], f"{where}: {found!r}"
        if "value" in rule:
            assert found == sizes[rule["value"]], f"{where}: {found}"
        if "length" in rule:
            assert len(found) == sizes[rule["length"]], f"{where}: length {len(found)}"
        if "inner" in rule:
            assert [len(each) for each in found] == sizes[rule["inner"]], f"{where}: inner lengths"


def fits(types: Types, kind: str, value: Any) -> bool:
    """Tell whether a value is of a type; True is no int, an int is no float, NaN is nothing."""
    if " | " in kind:
        return any(fits(types, each, value) for each in kind.split(" | "))
    if match := re.fullmatch(r"list\[(.*)\]", kind):
        return isinstance(value, list) and all(fits(types, match[1], each) for each in value)
    if match := re.fullmatch(r"dict\[str, (.*)\]", kind):
        return isinstance(value, dict) and all(
            isinstance(key, str) and fits(types, match[1], each) for key, each in value.items()
        )
    if kind in types:
        check_fields(types, kind, value, {})
        return True
    return is_plain(kind, value)


def is_plain(kind: str, value: Any) -> bool:
    """Tell whether a value is of a type that has no parts."""
    if kind == "any":
        return True
    if kind == "None":
        return value is None
    if kind == "tensor":
        return hasattr(value, "dtype") and hasattr(value, "shape")
    if kind == "float":
        return type(value) is float and not math.isnan(value)
    return type(value) is PLAIN[kind]
