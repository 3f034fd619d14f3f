"""Says what the rows of a stage depend on, and how two such states differ.

A fingerprint is a flat mapping, so that a message can name what differs:

    sample.temperature           a setting (RESULT_FIELDS) of the stage
    facts.sample.chat_template   what the stage found out by itself (hashes of an engine, ...)

Those of the stages upstream are part of it, because their rows are its input. Settings that say
where prompts come from are not: prompts are compared one by one (`dfgen.store.growing`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from dfgen.config.pipeline import Pipeline
from dfgen.config.section import list_sections
from dfgen.store.fields import GROWING_FIELD, NEUTRAL_FIELDS, RESULT_FIELDS
from dfgen.store.layout import Stage, list_stages, list_upstream
from dfgen.store.manifest import ChangedField, Manifest, PipelineChange, format_now
from dfgen.version import VERSION

Fingerprint = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """One entry of two fingerprints that is not the same; `ABSENT` where one has none."""

    field: str
    old: Any
    new: Any

    def __str__(self) -> str:
        if self.field.startswith("facts."):
            return _describe_fact(self.field)
        return f"{self.field}: {_show(self.old)} -> {_show(self.new)}"


def compute_own(stage: Stage, pipeline: Pipeline, facts: Mapping[str, str]) -> Fingerprint:
    """Compute the part of a fingerprint that belongs to the stage itself."""
    values = flatten(pipeline)
    own = {name: values[name] for name in RESULT_FIELDS.get(stage, ()) if name in values}
    return own | {f"facts.{stage}.{name}": facts[name] for name in sorted(facts)}


def compute_fingerprint(
    stage: Stage, own: Fingerprint, upstream: Mapping[Stage, Fingerprint]
) -> Fingerprint:
    """Join a stage's own part with those of the stages upstream of it."""
    joined: Fingerprint = {}
    for earlier in list_upstream(stage):
        joined |= extract_own(earlier, upstream.get(earlier, {}))
    joined.pop(GROWING_FIELD, None)
    return joined | own


def extract_own(stage: Stage, fingerprint: Fingerprint) -> Fingerprint:
    """Take out the stage's own part of a joined fingerprint."""
    names = frozenset(RESULT_FIELDS.get(stage, ()))
    prefix = f"facts.{stage}."
    return {
        name: value
        for name, value in fingerprint.items()
        if name in names or name.startswith(prefix)
    }


def extract_facts(stage: Stage, fingerprint: Fingerprint) -> dict[str, str]:
    """Take out the facts that a stage gave when it ran."""
    prefix = f"facts.{stage}."
    return {
        name.removeprefix(prefix): value
        for name, value in fingerprint.items()
        if name.startswith(prefix)
    }


def compare(old: Fingerprint, new: Fingerprint) -> list[Difference]:
    """List what differs, sorted by name.

    A setting that one side lacks has its default there: a run of an older dfgen, which did not know
    the field, continues. A fact that one side lacks was not looked at there, which says nothing;
    nor do fields that an earlier dfgen compared and that change no row. Growth of the number of
    samples is no difference.
    """
    defaults = _load_defaults()
    differences = []
    for name in sorted((old.keys() | new.keys()).difference(NEUTRAL_FIELDS)):
        absent = defaults.get(name, ABSENT)
        before, after = old.get(name, absent), new.get(name, absent)
        if before == after or (name.startswith("facts.") and ABSENT in (before, after)):
            continue
        if name == GROWING_FIELD and _is_growth(before, after):
            continue
        differences.append(Difference(name, before, after))
    return differences


def compare_pipelines(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """List the settings in which two pipelines differ, sorted by name.

    Args:
        old, new: as `Pipeline.model_dump(mode="json")` gives them, today or in an earlier dfgen,
            which may have lacked a field: that counts with its default.
    """
    fields, defaults = frozenset(list_fields(Pipeline)), _load_defaults()
    before, after = (dict(_iter_leaves(tree, fields)) for tree in (old, new))
    differences = []
    for name in sorted(before.keys() | after.keys()):
        absent = defaults.get(name, ABSENT)
        difference = Difference(name, before.get(name, absent), after.get(name, absent))
        if difference.old != difference.new:
            differences.append(difference)
    return differences


def record_pipeline(manifest: Manifest, pipeline: Mapping[str, Any]) -> None:
    """Make a pipeline that on record, and note since when and in what it is another one."""
    differences = compare_pipelines(manifest.pipeline, pipeline)
    if differences:
        changed = {each.field: ChangedField(old=each.old, new=each.new) for each in differences}
        manifest.changes.append(PipelineChange(at=format_now(), fields=changed))
    manifest.pipeline = dict(pipeline)


def compute_digest(fingerprint: Fingerprint) -> str:
    """Compute the sha256 of the canonical JSON of a fingerprint, in hex."""
    text = json.dumps(fingerprint, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _is_growth(before: object, after: object) -> bool:
    return isinstance(before, int) and isinstance(after, int) and after > before


@cache
def _load_defaults() -> dict[str, Any]:
    return list_defaults(Pipeline)


_FACTS = {
    "content": "the questions, pictures or answers of the source have changed",
    "source": "the files of the source have changed",
    "template": "the text of the prompt template ({prompt}) has changed",
    "tokenizer": "the tokenizer of {model} has changed",
    "processor": "the picture processor of {model} has changed",
    "chat_template": "the chat template of {model} has changed",
    "weights": "the weights of {model} have changed",
    "mask_settings": "the settings by which masks mark tokens have changed",
    "lora": "the adapter that {lora} names has changed",
}
"""What it means that a fact is another one, in words: a reader can do nothing with two hashes."""

_MODELS = {"sample": "policy", "repair": "repair.engine", "score": "score.engine, or else policy"}


def _describe_fact(field: str) -> str:
    _, stage, name = field.split(".", 2)
    section = _MODELS.get(stage, "the policy")
    said = _FACTS.get(name, f"its {name.replace('_', ' ')} has changed").format(
        model=f"the model that {section} names",
        lora=f"{section}.lora",
        prompt=f"{stage}.prompt",
    )
    return f"{said} since the {stage} stage began"


def _show(value: object) -> str:
    text = value if value == ABSENT else json.dumps(value, ensure_ascii=False, sort_keys=True)
    assert isinstance(text, str)
    return text if len(text) <= 120 else f"{text[:100]}... ({len(text)} characters)"


ABSENT = "(not set)"
"""Stands for a field that one of two pipelines does not have."""


def list_fields(model: type[BaseModel], prefix: str = "") -> set[str]:
    """List every dotted field of a model, of optional sections and all variants, too."""
    return {name for name, _ in _walk_fields(model, prefix)}


def list_defaults(model: type[BaseModel]) -> dict[str, Any]:
    """Default of every field that has one and the same in all variants, as JSON-able values."""
    defaults: dict[str, Any] = {}
    ambiguous = set()
    for name, default in _walk_fields(model, ""):
        if default is PydanticUndefined or (name in defaults and defaults[name] != default):
            ambiguous.add(name)
        else:
            defaults[name] = default
    return {name: value for name, value in defaults.items() if name not in ambiguous}


def flatten(section: BaseModel, prefix: str = "") -> dict[str, Any]:
    """Dotted name -> JSON-able value of a pipeline. Sections that are unset have no entries."""
    values: dict[str, Any] = {}
    dumped = section.model_dump(mode="json")
    for name in type(section).model_fields:
        value = getattr(section, name)
        dotted = f"{prefix}{name}"
        if isinstance(value, BaseModel):
            values |= flatten(value, f"{dotted}.")
        elif value is not None or not list_sections(type(section).model_fields[name].annotation):
            values[dotted] = dumped[name]
    return values


def _iter_leaves(
    tree: Mapping[str, Any], fields: Set[str], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Dotted name and value of each field of a pipeline's JSON; unset sections have none."""
    for name, value in tree.items():
        dotted = f"{prefix}{name}"
        if isinstance(value, Mapping) and dotted not in fields:
            yield from _iter_leaves(value, fields, f"{dotted}.")
        elif value is not None or dotted in fields:
            yield dotted, value


def _walk_fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        sections = list_sections(field.annotation)
        if not sections:
            yield f"{prefix}{name}", list(default) if isinstance(default, tuple) else default
        # A section's own default may differ from those of its class (`repair.decoding`).
        given = flatten(default, f"{prefix}{name}.") if isinstance(default, BaseModel) else {}
        for section in sections:
            for dotted, value in _walk_fields(section, f"{prefix}{name}."):
                yield dotted, given.get(dotted, value)


def list_differences(
    manifest: Manifest,
    stage: Stage,
    pipeline: Pipeline,
    facts: Mapping[str, str],
    begun: Set[Stage],
) -> list[Difference]:
    """List what keeps a stage from adding to the rows of a run, each field once.

    Args:
        begun: stages that have rows; the others have nothing to differ from.
    """
    found: dict[str, Difference] = {}
    for each in (*list_upstream(stage), stage):
        recorded = manifest.get_stage(each).fingerprint
        if each not in begun or not recorded:
            continue
        given = facts if each == stage else extract_facts(each, recorded)
        old, new = extract_own(each, recorded), compute_own(each, pipeline, given)
        for difference in compare(old, new):
            found.setdefault(difference.field, difference)
    recorded = manifest.get_stage(stage).fingerprint
    if stage in begun and recorded:
        current = _join(manifest, stage, pipeline, facts, begun)
        for difference in compare(_without_own(stage, recorded), _without_own(stage, current)):
            if "repair" in begun or not _is_of_repairs(difference.field):
                found.setdefault(difference.field, difference)
    return list(found.values())


def accept(
    manifest: Manifest,
    stage: Stage,
    pipeline: Pipeline,
    facts: Mapping[str, str],
    begun: Set[Stage],
) -> None:
    """Note in the manifest what a stage depends on, now that it may run."""
    record = manifest.get_stage(stage).model_copy(deep=True)
    fingerprint = _join(manifest, stage, pipeline, facts, begun)
    if stage in begun:
        # A fact that was not looked at this time still holds.
        fingerprint = {**record.fingerprint, **fingerprint}
    else:
        record.samples_history = []
        if stage == "repair":
            _hand_down(manifest, fingerprint)
    record.fingerprint = fingerprint
    record.digest = compute_digest(fingerprint)
    record.dfgen = VERSION
    if stage == "sample" and record.samples_history[-1:] != [fingerprint[GROWING_FIELD]]:
        record.samples_history.append(fingerprint[GROWING_FIELD])
        if len(record.samples_history) > 1:
            record.state, record.finished = "running", None
    manifest.stages[stage] = record
    # The pipeline on record is the latest that agrees with every stage that has run.
    if not any(
        list_differences(manifest, each, pipeline, {}, begun)
        for each in list_stages()
        if each != stage
    ):
        record_pipeline(manifest, pipeline.model_dump(mode="json"))


def _is_of_repairs(field: str) -> bool:
    """Whether a field says how repairs are made, and of the rows of later stages nothing else.

    These take repairs by what they say, and make a shard anew when they change. So while there are
    none, and when they are made from the beginning, no row of theirs depends on such a field. (Rows
    of samples are known by names that stay the same: that is another matter.)
    """
    return field.startswith(("repair.", "facts.repair."))


def _hand_down(manifest: Manifest, fingerprint: Fingerprint) -> None:
    """Let later stages depend on the settings with which repairs are made from the beginning."""
    own = {name: value for name, value in fingerprint.items() if _is_of_repairs(name)}
    for later, record in manifest.stages.items():
        if record.fingerprint and "repair" in list_upstream(later):
            kept = {n: v for n, v in record.fingerprint.items() if not _is_of_repairs(n)}
            record.fingerprint = kept | own
            record.digest = compute_digest(record.fingerprint)


def adopt_section(manifest: Manifest, section: str, pipeline: Pipeline) -> None:
    """Note that every row there is now goes by this section of a pipeline.

    For whoever has made all stages agree with it, or opened what does not (`dfgen regrade`).
    """
    adopt_fields(manifest, [n for n in flatten(pipeline) if n.startswith(f"{section}.")], pipeline)
    changed = {section: getattr(pipeline, section).model_dump(mode="json")}
    record_pipeline(manifest, manifest.pipeline | changed)


def adopt_fields(manifest: Manifest, names: Collection[str], pipeline: Pipeline) -> None:
    """Take these fields of a pipeline into the fingerprint of every stage that depends on them.

    For whoever has opened every row that does not go by them.
    """
    values = flatten(pipeline)
    for stage, record in manifest.stages.items():
        if not record.fingerprint:
            continue
        own = {
            name
            for each in (*list_upstream(stage), stage)
            for name in RESULT_FIELDS.get(each, ())
            if name in names
        }
        kept = {name: value for name, value in record.fingerprint.items() if name not in own}
        record.fingerprint = kept | {name: values[name] for name in sorted(own) if name in values}
        record.digest = compute_digest(record.fingerprint)


def find_stage(field: str, default: Stage) -> Stage:
    """Find the stage to which an entry of a fingerprint belongs."""
    for stage in list_stages():
        if field in RESULT_FIELDS.get(stage, ()) or field.startswith(f"facts.{stage}."):
            return stage
    return default


def _join(
    manifest: Manifest,
    stage: Stage,
    pipeline: Pipeline,
    facts: Mapping[str, str],
    begun: Set[Stage],
) -> Fingerprint:
    upstream: dict[Stage, Fingerprint] = {}
    for each in list_upstream(stage):
        recorded = manifest.get_stage(each).fingerprint
        rows_exist = each in begun and recorded
        upstream[each] = recorded if rows_exist else compute_own(each, pipeline, {})
    return compute_fingerprint(stage, compute_own(stage, pipeline, facts), upstream)


def _without_own(stage: Stage, fingerprint: Fingerprint) -> dict[str, Any]:
    own = extract_own(stage, fingerprint)
    return {name: value for name, value in fingerprint.items() if name not in own}
