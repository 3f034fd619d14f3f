"""Collects the data of the HTML page: a prompt and its answers as plain JSON values.

Two levels: a short row for lists and filters, which every page decodes at once, and the details,
which it decodes when they are looked at. Nothing here is escaped: that is for the embedding.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from dfgen.records import is_right
from dfgen.report.perception import name_errors
from dfgen.report.view import Step, View
from dfgen.terminal_text import cut_text

if TYPE_CHECKING:
    from dfgen.report.samples import Sample

SNIPPET = 40
MOST_RUNS, MOST_EDITS = 2 * 200, 12
"""Of one trajectory in the picture of its group: edges of masked stretches, and edits."""
MOST_METADATA = 12
"""Entries of a row's metadata that lists and filters know."""
LONGEST_TEXT = 20_000
"""Characters of one text on the page; of answers see `dfgen.report.view`."""


def describe_prompt(sample: Sample) -> dict[str, Any]:
    """Describe a question and the group of its answers; `pictures` is left to be filled."""
    prompt = sample.prompt
    return {
        "id": prompt["prompt_id"],
        "question": _cut(prompt["question"]),
        "answer": _cut(prompt["answer"]),
        "choices": [_cut(choice) for choice in prompt.get("choices", [])],
        "source": prompt.get("source", ""),
        "pictures": [],
        "metadata": read_metadata(prompt.get("metadata")),
        "group": [_describe_member(sample, index) for index in sorted(sample.group)],
    }


def _describe_member(sample: Sample, index: int) -> dict[str, Any]:
    """One trajectory of the group at a glance; more than `sample` and `right` where it has a mask.

    A mask of very many pieces is cut: on a bar of a few hundred pixels nobody tells them apart.
    """
    entry: dict[str, Any] = {"sample": index, "right": is_right(sample.group[index])}
    member = sample.members.get(index)
    if member is not None:
        said = member["said"]
        entry |= {name: member[name] for name in ("id", "source", "tokens")}
        entry["mask"] = member["mask"][:MOST_RUNS]
        entry["said"] = None if said is None else _clip(said)
        entry["edits"] = [[_clip(was), _clip(now)] for was, now in member["edits"][:MOST_EDITS]]
    return entry


def describe_row(sample: Sample, prompt: int) -> dict[str, Any]:
    """Describe a trajectory in a list: what it can be sorted and filtered by, and its first edit.

    Args:
        sample: with its mask, of which lists need no more than `dfgen.report.row_index` reads.
        prompt: place of its question in the list of prompts.
    """
    mask, repair = sample.mask, sample.repair or {}
    hunks = json.loads(mask["hunks"]) if mask["hunks"] else []
    first = next((hunk for hunk in hunks if hunk["in_mask"]), None)
    attempts = sample.attempts
    right = [is_right(reward) for reward in sample.group.values()]
    model = repair.get("model")
    return {
        "id": mask["trajectory_id"],
        "ownId": mask["source_id"],
        "prompt": prompt,
        "sample": mask["sample_index"],
        "source": mask["mask_source"],
        "reason": None if sample.reject is None else sample.reject["reason"],
        "kinds": sorted({hunk["kind"] for hunk in hunks}),
        "roles": sorted(set(mask["step_roles"] or ()) - {"unchanged"}),
        "masked": mask["masked"] if "masked" in mask else sum(mask["loss_mask"]),
        "tokens": mask["tokens"] if "tokens" in mask else len(mask["loss_mask"]),
        "edit": None if first is None else [_clip(first["wrong_text"]), _clip(first["right_text"])],
        "pass": round(sum(right) / len(right), 4) if right else None,
        "ratio": None if mask["quality"] is None else round(mask["quality"]["edit_ratio"], 4),
        "firstStep": mask["first_error_step"],
        "grader": None if sample.verdict is None else _clip(sample.verdict["grader"]),
        "said": None if sample.verdict is None else _clip(sample.verdict["extracted"] or ""),
        "repairer": None if model is None else _clip(name_model(model)),
        "attempts": len(attempts),
        "cost": _add_costs(attempts),
        "finish": mask["finish_reason"],
        "meta": read_metadata(mask.get("metadata"), sample.prompt.get("metadata")),
    }


def _add_costs(attempts: Sequence[Mapping[str, Any]]) -> float | None:
    """Dollars of all attempts; None where nobody knows those of one."""
    costs = [attempt["cost_usd"] for attempt in attempts]
    return None if None in costs else sum(costs)


def turn_to_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Turn rows of equal fields to columns, which name each field once."""
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def read_metadata(*texts: str | None) -> dict[str, Any]:
    """Read the entries of JSON objects that one can filter by: texts, numbers and truth values."""
    found: dict[str, Any] = {}
    for text in texts:
        try:
            values = json.loads(text) if text else {}
        except ValueError:
            continue  # a table that somebody else wrote may hold anything here
        for name, value in values.items() if isinstance(values, dict) else ():
            if len(found) == MOST_METADATA or not isinstance(value, str | int | float):
                continue
            if not isinstance(value, float) or math.isfinite(value):
                found.setdefault(_clip(name), _clip(value) if isinstance(value, str) else value)
    return found


def describe_details(
    sample: Sample, view: View, sent: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Describe a trajectory in full, laid out by steps.

    Args:
        sent: the requests about it, as `dfgen.report.sent` writes them.
    """
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
                "value": value,
            }
            for hunk, error, value in zip(
                view.hunks, name_errors(mask), _list_values(mask, len(view.hunks)), strict=True
            )
        ],
        "valueStart": mask.get("value_start"),
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
        "sent": sent,
    }


def _list_values(mask: Mapping[str, Any], hunks: int) -> list[dict[str, float] | None]:
    """What the policy's success was before and after each hunk, in the repair, lost and won back;
    None where nothing was drawn."""
    found: list[dict[str, float] | None] = []
    for value in mask.get("hunk_values") or [None] * hunks:
        names = ("before", "wrong", "repaired", "drop", "gain")
        if value is None or value["value_wrong"] is None:
            found.append(None)
        else:
            found.append({name: value[f"value_{name}"] for name in names})
    return found


_UNTESTED = {"needed": None, "neededBy": None, "weight": None, "test": None}


def _find_needed(sample: Sample) -> dict[tuple[int, ...], dict[str, Any]]:
    """Byte span of a hunk -> whether the answer is wrong without it, whose verdict that is, its
    weight, and the number of the test that asked the repairer; empty if not tested."""
    tested = (sample.repair or {}).get("necessity") or ()
    return {
        (entry["start"], entry["end"]): {
            "needed": entry["needed"],
            "neededBy": entry["decided_by"],
            "weight": entry["weight"],
            "test": None
            if entry["attempt"] is None
            else {"number": number, **_describe_attempt(entry["attempt"])},
        }
        for number, entry in enumerate(tested)
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
    return cut_text(text, LONGEST_TEXT)


def _clip(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SNIPPET else f"{text[: SNIPPET - 1]}…"
