"""What the rows of a stage depend on, and how two such states differ.

A fingerprint is a flat mapping, so that a message can name what differs:

    sample.temperature           a setting (RESULT_FIELDS) of the stage
    facts.sample.chat_template   what the stage found out by itself (hashes of an engine, ...)

Those of the stages upstream are part of it, because their rows are its input. The prompts count
with the hash of their content if it is known, and with the settings they were read by if not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from dfgen.config.pipeline import Pipeline
from dfgen.store.fields import CONTENT_FACT, GROWING_FIELD, RESULT_FIELDS
from dfgen.store.flatten import ABSENT, flatten, list_defaults
from dfgen.store.layout import Stage, list_upstream

Fingerprint = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """One entry of two fingerprints that is not the same; `ABSENT` where one has none."""

    field: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.field}: {_show(self.old)} -> {_show(self.new)}"


def compute_own(stage: Stage, pipeline: Pipeline, facts: Mapping[str, str]) -> Fingerprint:
    """The part of a fingerprint that belongs to the stage itself."""
    values = flatten(pipeline)
    own = {name: values[name] for name in RESULT_FIELDS[stage] if name in values}
    return own | {f"facts.{stage}.{name}": facts[name] for name in sorted(facts)}


def compute_fingerprint(
    stage: Stage, own: Fingerprint, upstream: Mapping[Stage, Fingerprint]
) -> Fingerprint:
    """Join a stage's own part with those of the stages upstream of it."""
    joined: Fingerprint = {}
    for earlier in list_upstream(stage):
        part = extract_own(earlier, upstream.get(earlier, {}))
        content = f"facts.prompts.{CONTENT_FACT}"
        joined |= {content: part[content]} if content in part else part
    joined.pop(GROWING_FIELD, None)
    return joined | own


def extract_own(stage: Stage, fingerprint: Fingerprint) -> Fingerprint:
    """The stage's own part of a joined fingerprint."""
    names = frozenset(RESULT_FIELDS[stage])
    prefix = f"facts.{stage}."
    return {
        name: value
        for name, value in fingerprint.items()
        if name in names or name.startswith(prefix)
    }


def extract_facts(stage: Stage, fingerprint: Fingerprint) -> dict[str, str]:
    """The facts that a stage gave when it ran."""
    prefix = f"facts.{stage}."
    return {
        name.removeprefix(prefix): value
        for name, value in fingerprint.items()
        if name.startswith(prefix)
    }


def compare(old: Fingerprint, new: Fingerprint) -> list[Difference]:
    """List what differs, sorted by name.

    A setting that one side lacks has its default there: a run of an older dfgen, which did not know
    the field, continues. A fact that one side lacks was not looked at there, which says nothing.
    Growth of the number of samples is no difference.
    """
    defaults = _load_defaults()
    differences = []
    for name in sorted(old.keys() | new.keys()):
        absent = defaults.get(name, ABSENT)
        before, after = old.get(name, absent), new.get(name, absent)
        if before == after or (name.startswith("facts.") and ABSENT in (before, after)):
            continue
        if name == GROWING_FIELD and _is_growth(before, after):
            continue
        differences.append(Difference(name, before, after))
    return differences


def compute_digest(fingerprint: Fingerprint) -> str:
    """sha256 over the canonical JSON of a fingerprint, in hex."""
    text = json.dumps(fingerprint, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _is_growth(before: object, after: object) -> bool:
    return isinstance(before, int) and isinstance(after, int) and after > before


@cache
def _load_defaults() -> dict[str, Any]:
    return list_defaults(Pipeline)


def _show(value: object) -> str:
    text = value if value == ABSENT else json.dumps(value, ensure_ascii=False, sort_keys=True)
    assert isinstance(text, str)
    return text if len(text) <= 120 else f"{text[:100]}... ({len(text)} characters)"
