"""Checks settings that are fine each by itself and do not go together."""

from __future__ import annotations

from collections.abc import Iterator

from dfgen.check.finding import Finding, describe_error
from dfgen.check.scope import Scope
from dfgen.errors import DfgenError, StorageError
from dfgen.stages.prompting import Template
from dfgen.stages.repair.prompt import load_template
from dfgen.stages.repair.spending import SpentCount
from dfgen.stages.sample.draws import PROMPT_FIELDS
from dfgen.stages.sample.stage import check_token_ids


def check_settings(scope: Scope) -> Iterator[Finding]:
    """Find templates that cannot be filled, and limits that contradict each other."""
    if "sample" in scope.stages:
        yield from _check_sampling(scope)
    if "repair" in scope.stages:
        yield from _check_repair(scope)
        yield from _check_spent(scope)


def _check_spent(scope: Scope) -> Iterator[Finding]:
    """Count what the run has spent: the stage does so first, and stops where it cannot."""
    if scope.run is None:
        return
    try:
        SpentCount().count(scope.run)
    except StorageError as error:
        yield describe_error(error)


def _check_sampling(scope: Scope) -> Iterator[Finding]:
    pipeline = scope.pipeline
    try:
        Template(pipeline.sample.prompt, PROMPT_FIELDS, "sample.prompt")
    except DfgenError as error:
        yield describe_error(error)
    try:
        check_token_ids(pipeline.policy)
    except DfgenError as error:
        yield describe_error(error)
    own = pipeline.sample.chat_template
    if own is not None and "{" not in own:
        yield Finding(
            "error",
            f"this is no Jinja template: {own!r:.80} would be the whole prompt.",
            "sample.chat_template",
            "Give the template's text; YAML keeps its lines after `chat_template: |`.",
        )


def _check_repair(scope: Scope) -> Iterator[Finding]:
    repair, sample = scope.pipeline.repair, scope.pipeline.sample
    try:
        load_template(repair)
    except DfgenError as error:
        yield describe_error(error)
    whole = repair.protocol == "rewrite" and not repair.prefix_lock
    wanted, room = sample.max_tokens, repair.decoding.max_tokens
    if whole and scope.pipeline.kind == "sampled" and room < wanted:
        yield Finding(
            "warning",
            f"a repairer that may write {room:,} tokens cannot give back an answer of up to "
            f"{wanted:,} (sample.max_tokens): such repairs are cut off and refused.",
            "repair.decoding.max_tokens",
            f"Set it to {wanted:,} or more, or repair.protocol to hunks.",
        )
