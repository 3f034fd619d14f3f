"""Collects the data of the HTML page: a prompt and its answers as plain JSON values.

Two levels: a short row for lists and filters, which every page decodes at once, and the details,
which it decodes when they are looked at. Nothing here is escaped: that is for the embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from dfgen.records import is_right
from dfgen.report.perception import name_errors
from dfgen.report.view import Step, View

if TYPE_CHECKING:
    from dfgen.report.samples import Sample

SNIPPET = 40
LONGEST_TEXT = 20_000
"""Characters of one text on the page; of answers see `dfgen.report.view`."""


def describe_prompt(sample: Sample) -> dict[str, Any]:
    """Describe a question; `pictures` is left to be filled."""
    prompt = sample.prompt
    return {
        "question": _cut(prompt["question"]),
        "answer": _cut(prompt["answer"]),
        "choices": [_cut(choice) for choice in prompt.get("choices", [])],
        "source": prompt.get("source", ""),
        "pictures": [],
        "group": sorted([index, is_right(reward)] for index, reward in sample.group.items()),
    }


def describe_row(sample: Sample, view: View, prompt: int) -> dict[str, Any]:
    """Describe a trajectory in a list: what it can be filtered by, and its first edit."""
    mask = sample.mask
    hunks = view.hunks
    first = next((hunk for hunk in hunks if hunk["in_mask"]), None)
    return {
        "id": mask["trajectory_id"],
        "ownId": mask["source_id"],
        "prompt": prompt,
        "sample": mask["sample_index"],
        "source": mask["mask_source"],
        "reason": None if sample.reject is None else sample.reject["reason"],
        "kinds": sorted({hunk["kind"] for hunk in hunks}),
        "roles": sorted(set(mask["step_roles"] or ()) - {"unchanged"}),
        "masked": sum(mask["loss_mask"]),
        "tokens": len(mask["loss_mask"]),
        "edit": None if first is None else [_clip(first["wrong_text"]), _clip(first["right_text"])],
    }


def describe_details(sample: Sample, view: View) -> dict[str, Any]:
    """Describe a trajectory in full, laid out by steps."""
    mask = sample.mask
    repair = sample.repair
    needed = _find_needed(sample)
    return {
        "reward": mask["reward"],
        "right": is_right(mask["reward"]),
        "finish": mask["finish_reason"],
        "idsSource": mask["ids_source"],
        "verdict": _describe_verdict(sample.verdict),
        "quality": mask["quality"],
        "steps": [_describe_step(step) for step in view.steps],
        "hunks": [
            {
                **_describe_hunk(hunk),
                **needed.get(tuple(hunk["wrong_bytes"]), _UNTESTED),
                "error": error,
            }
            for hunk, error in zip(view.hunks, name_errors(mask), strict=True)
        ],
        "repair": None
        if repair is None
        else {
            "protocol": repair["protocol"],
            "model": name_model(repair["model"]),
            "verdict": _describe_verdict(repair["verdict"]),
            "alternatives": len(repair.get("alternatives") or ()),
            "copyOf": repair.get("copy_of"),
        },
        "reject": None
        if sample.reject is None
        else {"reason": sample.reject["reason"], "detail": _cut(sample.reject["detail"])},
        "attempts": [_describe_attempt(attempt) for attempt in sample.attempts],
    }


_UNTESTED = {"needed": None, "neededBy": None}


def _find_needed(sample: Sample) -> dict[tuple[int, ...], dict[str, Any]]:
    """Byte span of a hunk -> whether the answer is wrong without it and whose verdict that is;
    empty if not tested."""
    tested = (sample.repair or {}).get("necessity") or ()
    return {
        (entry["start"], entry["end"]): {
            "needed": entry["needed"],
            "neededBy": entry["decided_by"],
        }
        for entry in tested
    }


def _describe_step(step: Step) -> dict[str, Any]:
    """Columns instead of a list of objects: they compress to a third."""
    probabilities = [token.probability for token in step.tokens]
    weights = [token.weight for token in step.tokens]
    return {
        "role": step.role,
        "first": step.tokens[0].index if step.tokens else 0,
        # Of a long answer some tokens are left out; then the numbers of the others have gaps.
        **({} if _is_gapless(step) else {"places": [token.index for token in step.tokens]}),
        "tokens": [token.text for token in step.tokens],
        "ops": "".join(str(token.op) for token in step.tokens),
        "mask": "".join("01"[token.masked] for token in step.tokens),
        "hunks": [-1 if token.hunk is None else token.hunk for token in step.tokens],
        # Thousandths: what a reader can use, and short.
        "permille": None
        if None in probabilities
        else [round(1000 * (value or 0.0)) for value in probabilities],
        "weights": None if None in weights else [round(value or 0.0, 2) for value in weights],
        "gaps": [[place, list(hunks)] for place, hunks in sorted(step.gaps.items())],
        "repair": [[piece.text, -1 if piece.hunk is None else piece.hunk] for piece in step.pieces],
    }


def _is_gapless(step: Step) -> bool:
    return not step.tokens or (step.tokens[-1].index - step.tokens[0].index + 1 == len(step.tokens))


def _describe_hunk(hunk: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": hunk["kind"],
        "step": hunk["wrong_step"],
        "wrong": _cut(hunk["wrong_text"]),
        "right": _cut(hunk["right_text"]),
        "inMask": hunk["in_mask"],
        "role": hunk.get("role"),
        "reason": hunk.get("reason"),
        "reasonKind": hunk.get("reason_kind"),
        "firstToken": hunk["wrong_tokens"][0],
    }


def _describe_attempt(attempt: dict[str, Any]) -> dict[str, Any]:
    return {
        "accepted": attempt["accepted"],
        "reason": attempt["reason"],
        "detail": _cut(attempt["detail"]),
        "text": _cut(attempt["text"]),
        "finish": attempt["finish_reason"],
        "read": attempt["prompt_tokens"],
        "written": attempt["completion_tokens"],
        "cost": attempt["cost_usd"],
    }


def name_model(model: str) -> str:
    """Return a model for people: folders of one machine are left out."""
    path = PurePath(model)
    return path.name if path.is_absolute() else model


def _describe_verdict(verdict: Mapping[str, Any] | None) -> dict[str, Any] | None:
    names = ("correct", "extracted", "expected", "grader", "method", "detail")
    if verdict is None:
        return None
    values = ((name, verdict[name]) for name in names)
    return {name: _cut(value) if isinstance(value, str) else value for name, value in values}


def _cut(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]}… ({len(text) - LONGEST_TEXT:,} more characters)"


def _clip(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SNIPPET else f"{text[: SNIPPET - 1]}…"
