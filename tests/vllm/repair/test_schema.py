"""`hunks` with structured output of the real vLLM.

The demo's repairer has never seen JSON. What makes its output JSON is the schema, so these tests
are about the schema, the reading and the ladder, and not about good repairs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm", reason="needs the environment of `make vllm-test`")

from dfgen.stages.repair.parse import EDIT_SCHEMA
from tests.faults.command import call_here
from tests.vllm.repair.conftest import (
    KEY,
    check_decided,
    make_engine,
    read_attempts,
    read_repairs,
)
from tests.vllm.running import run_dfgen
from tests.vllm.serving import Served

EDIT_FIELDS = {"find", "replace", "reason", "kind"}


def read_schema_facts(run: Path) -> Any:
    return json.loads((run / "run.json").read_text())["stages"]["repair"]["facts"]["schema"]


def check_every_finished_answer_obeys(run: Path) -> None:
    """What ended by itself is an object of the schema, and the manifest counts it so."""
    finished = [a["text"] for a in read_attempts(run) if a["finish_reason"] == "stop"]
    assert finished
    for text in finished:
        value = json.loads(text)
        assert value.keys() == {"edits"}
        assert all(edit.keys() == EDIT_FIELDS for edit in value["edits"])
    assert read_schema_facts(run) == {"obeyed": len(finished), "ignored": 0}


def test_vllm_compiles_the_schema() -> None:
    from vllm.v1.structured_output.backend_xgrammar import has_xgrammar_unsupported_json_features
    from xgrammar import Grammar

    assert not has_xgrammar_unsupported_json_features(EDIT_SCHEMA)
    assert "edits" in str(Grammar.from_json_schema(json.dumps(EDIT_SCHEMA), strict_mode=True))


def test_answers_obey_the_schema_and_are_judged(
    server: Served, run: Path, write: Callable[..., Path]
) -> None:
    decoding = {"temperature": 1.0, "max_tokens": 160}
    pipeline = write(make_engine(server.url), protocol="hunks", decoding=decoding)
    run_dfgen("repair", pipeline, "--out", run, "-q", VLLM_API_KEY=KEY)
    check_every_finished_answer_obeys(run)
    reasons = check_decided(run)
    assert set(reasons) <= {"not_finished", "unchanged", "does_not_apply", "answer_wrong"}


def test_edits_that_fit_are_applied_and_accepted(
    server: Served, run: Path, write: Callable[..., Path]
) -> None:
    """A narrower schema makes the model guess final answers: some fit, and some are right."""
    engine = make_engine(server.url, concurrency=8, extra_body=ask_for_answers())
    pipeline = write(
        engine,
        protocol="hunks",
        decoding={"temperature": 1.5, "max_tokens": 120},
        retry_temperature=1.5,
        candidates=4,
        max_attempts=1,
        allow=["answer_only"],
    )
    run_dfgen("repair", pipeline, "--out", run, "-q", VLLM_API_KEY=KEY)
    check_every_finished_answer_obeys(run)
    check_decided(run)
    reasons = Counter(attempt["reason"] for attempt in read_attempts(run))
    assert reasons["does_not_apply"] and reasons["answer_wrong"] and reasons["unchanged"]
    assert set(reasons) <= {"does_not_apply", "answer_wrong", "unchanged", "accepted"}
    repairs = [row for row in read_repairs(run).values() if row["copy_of"] is None]
    assert repairs, "none of all guesses was right"
    assert sum(any(a["accepted"] for a in row["attempts"]) for row in repairs) == len(repairs)
    call_here("mask", pipeline, "--out", run, "-q")
    call_here("validate", run)


def ask_for_answers() -> dict[str, Any]:
    """One edit that replaces one final answer by another."""
    answers = {"type": "string", "enum": [f"Answer: {number}" for number in range(5)]}
    constants = {"reason": "miscounted", "kind": "perception"}
    fields = {"find": answers, "replace": answers}
    fields |= {name: {"type": "string", "enum": [value]} for name, value in constants.items()}
    edit = {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }
    schema = {
        "type": "object",
        "properties": {"edits": {"type": "array", "items": edit, "minItems": 1, "maxItems": 1}},
        "required": ["edits"],
        "additionalProperties": False,
    }
    named = {"name": "answer", "strict": True, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": named}}
