"""What the repairs of a run are like and what they cost."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dfgen.stages.repair.necessity import NecessityCount

if TYPE_CHECKING:
    from dfgen.store.run import Run
    from dfgen.tokens.tokenizer import TextTokenizer


def measure_repairs(run: Run, tokenizer: TextTokenizer | None = None) -> dict[str, Any]:
    """How many were accepted, how small they are, why others were refused, what all of it cost.

    Args:
        tokenizer: the policy's; with it the tokens that `hunks` saved against writing whole texts
            are counted. They are the policy's tokens where the repairer's were paid, so the figure
            is an estimate.

    Tokens and cost include those of necessity tests, which `necessity` also states alone; those of
    controls stand with the controls.
    """
    ratios: list[float] = []
    refusals: Counter[str] = Counter()
    spent: Counter[str] = Counter()
    cost = 0.0
    answer_only = copies = whole = written = 0

    def count(attempt: dict[str, Any]) -> None:
        nonlocal cost
        spent["attempts"] += 1
        spent["prompt_tokens"] += attempt["prompt_tokens"]
        spent["completion_tokens"] += attempt["completion_tokens"]
        cost += attempt["cost_usd"]
        if not attempt["accepted"]:
            refusals[attempt["reason"]] += 1

    tests = NecessityCount()
    columns = ["edit_ratio", "attempts", "answer_only", "copy_of", "protocol", "repair"]
    for row in run.table("repairs").iter_rows(columns=[*columns, "necessity"]):
        ratios.append(row["edit_ratio"])
        answer_only += row["answer_only"]
        copies += row["copy_of"] is not None
        for attempt in row["attempts"]:
            count(attempt)
            if attempt["accepted"] and row["protocol"] == "hunks" and tokenizer is not None:
                whole += len(tokenizer.encode(row["repair"]))
                written += attempt["completion_tokens"]
        tests.add_row(row)
    cost += tests.cost_usd
    rejected: Counter[str] = Counter()
    for row in run.rejects("repair").iter_rows(columns=["reason", "evidence"]):
        rejected[row["reason"]] += 1
        for attempt in json.loads(row["evidence"]).get("attempts", []):
            count(attempt)
    total = len(ratios) + rejected.total()
    numbers: dict[str, Any] = {
        "accepted": len(ratios),
        "of_them_copies": copies,
        "rejected": rejected.total(),
        "accepted_share": len(ratios) / total if total else None,
        "rejected_by_reason": dict(rejected.most_common()),
        "attempts": spent["attempts"],
        "attempts_refused_by_reason": dict(refusals.most_common()),
        "median_edit_ratio": statistics.median(ratios) if ratios else None,
        "answer_only": answer_only,
        "prompt_tokens": spent["prompt_tokens"] + tests.prompt_tokens,
        "completion_tokens": spent["completion_tokens"] + tests.completion_tokens,
        "cost_usd": cost,
        "cost_usd_per_accepted": cost / len(ratios) if ratios else None,
    }
    if whole:
        numbers["tokens_saved_by_hunks"] = whole - written
        numbers["tokens_saved_share"] = 1 - written / whole
    if tests.hunks:
        numbers["necessity"] = asdict(tests)
    if run.table("controls").shards():
        numbers["controls"] = measure_controls(run)
    return numbers


def measure_controls(run: Run) -> dict[str, Any]:
    """How often the repairer changed a right answer.

    `false_edit_rate` is the share of the controls it answered; `spoiled` counts those that were
    wrong after the change.
    """
    answered = changed = spoiled = failed = 0
    cost = 0.0
    for row in run.table("controls").iter_rows():
        cost += row["attempt"]["cost_usd"]
        if row["text"] is None:
            failed += 1
            continue
        answered += 1
        changed += row["changed"]
        spoiled += row["changed"] and not (row["reward"] or 0.0) >= 1.0
    return {
        "answered": answered,
        "failed": failed,
        "changed": changed,
        "false_edit_rate": changed / answered if answered else None,
        "spoiled": spoiled,
        "cost_usd": cost,
    }
