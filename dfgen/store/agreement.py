"""Whether a run and a pipeline agree, stage by stage: the rules behind `Run.check_stage`."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from dfgen.config.pipeline import Pipeline
from dfgen.store.fields import CONTENT_FACT, CUT_FIELDS, GROWING_FIELD, RESULT_FIELDS
from dfgen.store.fingerprint import (
    Difference,
    Fingerprint,
    compare,
    compute_digest,
    compute_fingerprint,
    compute_own,
    extract_facts,
    extract_own,
)
from dfgen.store.layout import STAGES, Stage, list_upstream
from dfgen.store.manifest import Manifest
from dfgen.version import VERSION


def list_differences(
    manifest: Manifest,
    stage: Stage,
    pipeline: Pipeline,
    facts: Mapping[str, str],
    begun: Set[Stage],
) -> list[Difference]:
    """What keeps a stage from adding to the rows of a run, each field once.

    Args:
        begun: stages that have rows; the others have nothing to differ from.
    """
    found: dict[str, Difference] = {}
    cut = manifest.get_stage("prompts").state == "done"
    for each in (*list_upstream(stage), stage):
        recorded = manifest.get_stage(each).fingerprint
        if each not in begun or not recorded:
            continue
        given = facts if each == stage else extract_facts(each, recorded)
        old, new = extract_own(each, recorded), compute_own(each, pipeline, given)
        if each == stage == "prompts" and _is_same_content(old, new):
            continue
        for difference in compare(old, new):
            if not (cut and difference.field in CUT_FIELDS):
                found.setdefault(difference.field, difference)
    recorded = manifest.get_stage(stage).fingerprint
    if stage in begun and recorded:
        current = _join(manifest, stage, pipeline, facts, begun)
        for difference in compare(_without_own(stage, recorded), _without_own(stage, current)):
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
        list_differences(manifest, each, pipeline, {}, begun) for each in STAGES if each != stage
    ):
        manifest.pipeline = pipeline.model_dump(mode="json")


def find_stage(field: str, default: Stage) -> Stage:
    """The stage to which an entry of a fingerprint belongs."""
    for stage in STAGES:
        if field in RESULT_FIELDS[stage] or field.startswith(f"facts.{stage}."):
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


def _is_same_content(old: Fingerprint, new: Fingerprint) -> bool:
    name = f"facts.prompts.{CONTENT_FACT}"
    return name in old and old[name] == new.get(name)
