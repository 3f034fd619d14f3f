"""The figures of a run, as plain data: what `dfgen stats` prints and reports draw."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from dfgen.report.distributions import measure_distributions
from dfgen.report.repairs import measure_repairs

if TYPE_CHECKING:
    from dfgen.store.finished import FinishedRun
    from dfgen.store.run import Run

HISTOGRAM_BINS = 10


def collect_numbers(finished: FinishedRun) -> dict[str, Any]:
    """All figures of a run; parts whose stage has not run are left out."""
    from dfgen.store.counts import count_reject_reasons, count_rows

    run = finished.run
    numbers: dict[str, Any] = {"run": str(run.root), "counts": count_rows(run)}
    numbers["rejects"] = count_reject_reasons(run)
    if run.table("trajectories").shards():
        numbers["groups"] = measure_groups(run)
    if run.table("repairs").shards():
        numbers["repairs"] = measure_repairs(run, finished.tokenizer)
    if run.table("masks").shards():
        numbers["masks"] = measure_masks(run)
        numbers["distributions"] = measure_distributions(run)
    people = measure_agreement(finished)
    if people is not None:
        numbers["people"] = people
    truth = measure_truth(finished)
    if truth is not None:
        numbers["demo_truth"] = truth
    return numbers


def measure_groups(run: Run) -> dict[str, Any]:
    """Pass rates: how many prompts the policy always, sometimes or never gets right.

    `tokens_per_second` counts the time from a pass's first request to its last draw, all passes of
    the run together; None where nothing was drawn here (imported answers).
    """
    right: Counter[str] = Counter()
    size: Counter[str] = Counter()
    truncated = tokens = 0
    columns = ["prompt_id", "reward", "finish_reason", "completion_ids"]
    for row in run.table("trajectories").iter_rows(columns=columns):
        size[row["prompt_id"]] += 1
        right[row["prompt_id"]] += row["reward"] >= 1.0
        truncated += row["finish_reason"] == "length"
        tokens += len(row["completion_ids"])
    total = sum(size.values())
    rates = [right[prompt] / size[prompt] for prompt in size]
    histogram = [0] * HISTOGRAM_BINS
    for rate in rates:
        histogram[min(int(rate * HISTOGRAM_BINS), HISTOGRAM_BINS - 1)] += 1
    return {
        "prompts": len(size),
        "trajectories": total,
        "pass_rate": sum(right.values()) / total if total else None,
        "all_right": sum(rate == 1.0 for rate in rates),
        "all_wrong": sum(rate == 0.0 for rate in rates),
        "mixed": sum(0.0 < rate < 1.0 for rate in rates),
        "pass_rate_histogram": histogram,
        "truncated": truncated,
        "truncated_share": truncated / total if total else None,
        "completion_tokens": tokens,
        "tokens_per_second": _measure_speed(run),
    }


def _measure_speed(run: Run) -> float | None:
    drawn = run.manifest.get_stage("sample").facts.get("drawn", {})
    return drawn["tokens"] / drawn["seconds"] if drawn.get("seconds") else None


def measure_masks(run: Run) -> dict[str, Any]:
    """What the masks keep: rows by source, share of tokens, hunks, position of the first error."""
    sources: Counter[str] = Counter()
    first_error: Counter[int] = Counter()
    roles: Counter[str] = Counter()
    tokens = masked = hunks = 0
    columns = ["mask_source", "loss_mask", "quality", "first_error_step", "step_roles"]
    for row in run.table("masks").iter_rows(columns=columns):
        sources[row["mask_source"]] += 1
        if row["mask_source"] == "repair":
            tokens += len(row["loss_mask"])
            masked += sum(row["loss_mask"])
            hunks += row["quality"]["n_hunks"]
            first_error[row["first_error_step"]] += 1
            roles.update(row["step_roles"])
    repaired = sources["repair"]
    return {
        "sources": dict(sources),
        "repaired_tokens": tokens,
        "masked_share": masked / tokens if tokens else None,
        "hunks_per_repair": hunks / repaired if repaired else None,
        "first_error_step": {str(step): n for step, n in sorted(first_error.items())},
        "step_roles": dict(roles),
    }


def measure_agreement(finished: FinishedRun) -> dict[str, Any] | None:
    """How often the grader agrees with people's verdicts on imported answers; None without any."""
    imports = finished.pipeline.imports
    if imports is None or imports.columns.verdict is None:
        return None
    pairs: Counter[tuple[bool, bool]] = Counter()
    columns = ["reward", "metadata"]
    for row in finished.run.table("trajectories").iter_rows(columns=columns):
        said = json.loads(row["metadata"]).get(imports.columns.verdict)
        if said is not None:
            pairs[row["reward"] >= 1.0, bool(said)] += 1
    total = pairs.total()
    return {
        "verdicts": total,
        "agreement": (pairs[True, True] + pairs[False, False]) / total if total else None,
        "right_by_grader_only": pairs[True, False],
        "right_by_people_only": pairs[False, True],
    }


def measure_truth(finished: FinishedRun) -> dict[str, Any] | None:
    """Compare masks with the known truth of drawn scenes; None for a run of other prompts.

    A mask is exact when it equals the mask of the ideal repair, which corrects every false value
    and leaves every other word.
    """
    run = finished.run
    truths = dict(_read_truths(run))
    if not truths or not run.table("masks").shards():
        return None
    from dfgen.demo.truth import true_repair
    from dfgen.diff.pair import diff_pair

    repaired = exact = same_text = 0
    for row in _repaired_rows(run):
        ideal = true_repair(row["completion"], truths[row["prompt_id"]])
        repaired += 1
        if ideal is None:
            continue
        same_text += ideal == row["repair"]
        mask = diff_pair(
            row["completion"],
            ideal,
            finished.tokenizer,
            finished.pipeline.mask,
            completion_ids=row["completion_ids"],
        ).loss_mask.tolist()
        exact += mask == row["loss_mask"]
    return {
        "repaired": repaired,
        "exact_masks": exact,
        "exact_share": exact / repaired if repaired else None,
        "ideal_repairs": same_text,
    }


def _read_truths(run: Run) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in run.table("prompts").iter_rows(columns=["prompt_id", "metadata"]):
        metadata = json.loads(row["metadata"])
        if "demo_truth" in metadata:
            yield row["prompt_id"], metadata["demo_truth"]


def _repaired_rows(run: Run) -> Iterable[dict[str, Any]]:
    columns = ["prompt_id", "mask_source", "completion", "completion_ids", "repair", "loss_mask"]
    for row in run.table("masks").iter_rows(columns=columns):
        if row["mask_source"] == "repair":
            yield row
