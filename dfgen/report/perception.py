"""Tells errors of perception from errors of reasoning, by how much their tokens depend on pictures.

An edit is a *perception* error if the token of it that depends most on the pictures does so more
than the tokens of its answer do on average, and else a *reasoning* error. The average and not the
median: most tokens of an answer depend on no picture at all, so that a median is next to nothing
and whatever is above it means little. Needs masks with `visual_kl` or `visual_log_ratio`
(`dfgen score RUN --set score.visual=true`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from dfgen.store.finished import FinishedRun
    from dfgen.store.run import Run

Error = Literal["perception", "reasoning"]

_COLUMNS = ("prompt_id", "completion", "hunks", "loss_mask", "visual_kl", "visual_log_ratio")


def name_errors(mask: Mapping[str, Any]) -> list[Error | None]:
    """Name the error of each hunk of a mask row.

    Returns:
        None for hunks outside the mask, for insertions, which have no token of their own, for
        consequences, which repeat a value and are no errors of their own, and for all where the row
        does not say how much its tokens depend on the pictures.
    """
    hunks = json.loads(mask["hunks"]) if mask["hunks"] else []
    values = mask.get("visual_kl") or mask.get("visual_log_ratio")
    if not values:
        return [None] * len(hunks)
    mean = sum(values) / len(values)
    errors: list[Error | None] = []
    for hunk in hunks:
        own = [values[t] for t in range(*hunk["wrong_tokens"]) if mask["loss_mask"][t]]
        if not own or not hunk["in_mask"] or hunk["role"] == "consequence":
            errors.append(None)
        else:
            errors.append("perception" if max(own) > mean else "reasoning")
    return errors


def measure_perception(finished: FinishedRun) -> dict[str, Any] | None:
    """Count the errors at the root of wrong answers by kind; None where nothing tells them apart.

    On drawn scenes, where the truth is known, `counts_told` and `others_told` say how often a wrong
    count is called perception, and whatever else is wrong (a sum, a comparison) reasoning.
    """
    run = finished.run
    found: Counter[str] = Counter()
    kinds: dict[str, Any] = {}
    told: Counter[tuple[bool, str]] = Counter()
    truths = {} if finished.prompts is None else dict(_read_kinds(finished))
    for row in _iter_scored(run):
        kinds["measure"] = "kl" if row["visual_kl"] else "log_ratio"
        counts = _find_counts(row, truths)
        for hunk, error in zip(json.loads(row["hunks"]), name_errors(row), strict=True):
            if not hunk["in_mask"] or hunk["role"] == "consequence":
                continue
            found[error or "not_told"] += 1
            if counts is not None and error is not None:
                start, end = hunk["wrong_bytes"]
                told[any(start < b and a < end for a, b in counts), error] += 1
    if not kinds:
        return None
    numbers = {name: found[name] for name in ("perception", "reasoning", "not_told")}
    shares = {
        "counts_told": _share(told, (True, "perception"), (True, "reasoning")),
        "others_told": _share(told, (False, "reasoning"), (False, "perception")),
    }
    return {**kinds, **numbers, **(shares if told else {})}


def _share(
    told: Mapping[tuple[bool, str], int], right: tuple[bool, str], wrong: tuple[bool, str]
) -> float | None:
    total = told[right] + told[wrong]
    return told[right] / total if total else None


def _iter_scored(run: Run) -> Iterator[dict[str, Any]]:
    for row in run.table("masks").iter_rows(columns=list(_COLUMNS)):
        if row["hunks"] and (row["visual_kl"] or row["visual_log_ratio"]):
            yield row


def _read_kinds(finished: FinishedRun) -> Iterator[tuple[str, Any]]:
    assert finished.prompts is not None
    for row in finished.prompts.iter_rows(columns=["prompt_id", "metadata"]):
        truth = json.loads(row["metadata"]).get("demo_truth")
        if truth is not None:
            yield row["prompt_id"], truth["kind"]


def _find_counts(row: Mapping[str, Any], kinds: Mapping[str, Any]) -> list[tuple[int, int]] | None:
    """Byte spans of the counts that an answer about a drawn scene reports; None of others."""
    if row["prompt_id"] not in kinds:
        return None
    from dfgen.demo.truth import find_counts

    return find_counts(row["completion"], kinds[row["prompt_id"]])
