"""Reads what a repairer wrote: the whole text (`rewrite`) or a list of edits (`hunks`).

Reading is tolerant only where that cannot change what is meant: reasoning in `<think>` before the
answer, a code fence around JSON, a bare list where an object was asked for, line breaks inside JSON
strings, edits that change nothing. A text to find must occur exactly once, to the character.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from dfgen.config.repair import RepairConfig
from dfgen.diff.hunks import RepairerEdit
from dfgen.stages.repair.prompt import unshield

EDIT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "edits": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "find": {"type": "string"},
                    "replace": {"type": "string"},
                    "reason": {"type": "string"},
                    "kind": {
                        "type": "string",
                        "enum": [
                            *("perception", "reasoning", "calculation", "knowledge"),
                            "consequence",
                        ],
                    },
                },
                "required": ["find", "replace", "reason", "kind"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["edits"],
    "additionalProperties": False,
}
"""What `hunks` asks a server for. No bounds on lengths: strict servers refuse them."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_THINKING = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCED = re.compile(r"\A```(?:json)?[ \t]*\n(.*)\n```\Z", re.DOTALL)
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Proposal:
    """A repair as it was proposed, not yet judged.

    Attributes:
        text: the repaired trajectory; empty where there is none.
        edits: as the repairer gave them (`hunks`).
        unreadable: one sentence if the output is not what the protocol asks for.
        inapplicable: one sentence if its edits do not fit the text.
        by_schema: whether the output obeys `EDIT_SCHEMA` to the letter; True for `rewrite`.
    """

    text: str = ""
    edits: tuple[RepairerEdit, ...] = field(default=())
    unreadable: str | None = None
    inapplicable: str | None = None
    by_schema: bool = True


def parse_output(output: str, original: str, config: RepairConfig) -> Proposal:
    """Read a repairer's output by the protocol of the section. Never raises.

    Args:
        output: what it wrote.
        original: the trajectory it was to correct.
    """
    if _SURROGATE.search(output):
        return Proposal(unreadable="the output is not valid Unicode (a lone surrogate).")
    body = unshield(_THINKING.sub("", output, count=1), original)
    if config.protocol == "hunks":
        return parse_hunks(body, original)
    if config.prefix_lock:
        return parse_locked(body, original)
    return parse_rewrite(body, original)


def parse_rewrite(body: str, original: str) -> Proposal:
    """Take the corrected text, with or without its tags.

    The white space around the original is put back, so that its absence is never an edit.
    """
    if "<corrected>" not in original and body.count("<corrected>") > 1:
        return Proposal(unreadable="there is more than one <corrected> text.")
    start, end = body.find("<corrected>"), body.rfind("</corrected>")
    if start >= 0 and end >= start:
        body = body[start + len("<corrected>") : end]
    elif start >= 0:
        return Proposal(unreadable="the closing </corrected> is missing.")
    return Proposal(_keep_margins(body, original))


def parse_locked(body: str, original: str) -> Proposal:
    """Take the first wrong words and the text from there on; what stands before is kept."""
    parts = [_take_part(body, name) for name in ("first_error", "corrected")]
    if parts[0] is None or parts[1] is None:
        return Proposal(
            unreadable="one <first_error> and one <corrected> part are needed, each closed."
        )
    # The tags may stand on lines of their own.
    quote, rest = parts[0].strip("\r\n"), parts[1].strip("\r\n")
    count = _count(original, quote)
    if count != 1:
        return Proposal(inapplicable=_explain_count("first_error", quote, count))
    at = original.find(quote)
    return Proposal(original[:at] + _keep_margins(rest, original[at:]))


def parse_hunks(body: str, original: str) -> Proposal:
    """Read the JSON edits and apply them."""
    raw = body.strip().removeprefix("\ufeff")
    fenced = _FENCED.match(raw)
    value = _load(fenced.group(1) if fenced else raw)
    if value is None:
        value = _find_object(raw)
    if value is None:
        return Proposal(unreadable="the output is not one JSON object.", by_schema=False)
    edits = value.get("edits") if isinstance(value, dict) else value
    if not isinstance(edits, list):
        return Proposal(unreadable="the JSON has no list `edits`.", by_schema=False)
    read: list[RepairerEdit] = []
    for number, edit in enumerate(edits, 1):
        if not isinstance(edit, dict) or not all(
            isinstance(edit.get(name), str) for name in ("find", "replace")
        ):
            return Proposal(
                unreadable=f"edit {number} has no texts `find` and `replace`.", by_schema=False
            )
        read.append(
            RepairerEdit(
                edit["find"],
                edit["replace"],
                *(edit[n] if isinstance(edit.get(n), str) else None for n in ("reason", "kind")),
            )
        )
    text, problem = apply_edits(original, read)
    by_schema = fenced is None and _obeys_schema(raw)
    return Proposal(text, tuple(read), inapplicable=problem, by_schema=by_schema)


def apply_edits(original: str, edits: Sequence[RepairerEdit]) -> tuple[str, str | None]:
    """Apply edits to a text, each at the one place where its `find` stands.

    All places are looked up in the original, so the order of the edits does not matter. What
    `find` and `replace` have in common at both ends is context and may be shared by two edits.

    Returns:
        The new text and None; or "" and one sentence that says which edit does not fit.
    """
    places: list[tuple[int, int, str]] = []
    for number, edit in enumerate(edits, 1):
        if not edit.find:
            return "", f"`find` of edit {number} is empty."
        if edit.find == edit.replace:
            continue
        count = _count(original, edit.find)
        if count != 1:
            return "", _explain_count(f"`find` of edit {number}", edit.find, count)
        at = original.find(edit.find)
        before = _count_common(edit.find, edit.replace)
        old, new = edit.find[before:], edit.replace[before:]
        after = _count_common(old[::-1], new[::-1])
        end = at + before + len(old) - after
        places.append((at + before, end, new[: len(new) - after]))
    places = sorted(set(places))
    for (start, end, _), (following, following_end, _) in pairwise(places):
        if following < end or (start == following and end == following_end):
            return "", f"two edits change the same words: {_show(original[start:end])}."
    parts, at = [], 0
    for start, end, new in places:
        parts += [original[at:start], new]
        at = end
    return "".join([*parts, original[at:]]), None


def _count_common(one: str, other: str) -> int:
    """Characters that two texts have in common at their start."""
    for count, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return count
    return min(len(one), len(other))


def _keep_margins(body: str, original: str) -> str:
    body = body.strip()
    if not body:
        return ""
    start = len(original) - len(original.lstrip())
    end = len(original.rstrip())
    return original[:start] + body + original[max(end, start) :]


def _take_part(body: str, name: str) -> str | None:
    start, end = body.find(f"<{name}>"), body.rfind(f"</{name}>")
    if start < 0 or end < start or body.count(f"<{name}>") > 1:
        return None
    return body[start + len(name) + 2 : end]


def _count(text: str, part: str) -> int:
    """Occurrences, overlapping ones too: 0, 1, or 2 for more."""
    first = text.find(part) if part else -1
    if first < 0:
        return 0
    return 1 if text.find(part, first + 1) < 0 else 2


def _explain_count(what: str, part: str, count: int) -> str:
    if count == 0:
        return f"{what} does not occur in the answer: {_show(part)}; copy it exactly."
    return f"{what} occurs more than once in the answer: {_show(part)}; add words around it."


def _show(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _load(text: str) -> Any:
    try:
        # strict=False: a line break inside a string can only mean itself.
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _find_object(text: str) -> Any:
    """Find the object in talk around it, if there is no other that could be meant."""
    start = text.find('{"edits"')
    if start < 0 or text.count('"edits"') != 1:
        return None
    try:
        value, _ = json.JSONDecoder(strict=False).raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return value


def _obeys_schema(raw: str) -> bool:
    value = _load(raw)
    if not isinstance(value, dict) or value.keys() != {"edits"}:
        return False
    item = EDIT_SCHEMA["properties"]["edits"]["items"]
    return all(
        edit.keys() == set(item["required"])
        and all(isinstance(text, str) for text in edit.values())
        and edit["kind"] in item["properties"]["kind"]["enum"]
        for edit in value["edits"]
    )
