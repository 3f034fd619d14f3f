"""Counts the figures of a run, which `dfgen stats` prints, and pages and cards draw."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dfgen.records import is_right
from dfgen.report.costs import measure_course
from dfgen.report.perception import measure_perception
from dfgen.stages.repair.necessity import NecessityCount
from dfgen.stages.repair.spending import SpentCount
from dfgen.stages.value.summary import read_blame
from dfgen.store.mounts import name_place
from dfgen.store.redoing import list_history

if TYPE_CHECKING:
    from dfgen.store.finished import FinishedRun
    from dfgen.store.layout import Stage
    from dfgen.store.run import Run
    from dfgen.store.shards import ShardTable
    from dfgen.tokens.tokenizer import TextTokenizer

HISTOGRAM_BINS = 10
LARGEST_GROUP = 32
POSITION_BINS = 20
EDIT_RATIO_BINS = 20
EMPTY = "mask_empty"
"""Why the mask stage rejects a repair that leaves nothing to learn from."""
SPENT = ("prompt_tokens", "completion_tokens", "cost_usd")


def collect_numbers(finished: FinishedRun) -> dict[str, Any]:
    """Collect all figures of a run; parts whose stage has not run are left out."""
    from dfgen.store.counts import count_reject_reasons

    run = finished.run
    numbers: dict[str, Any] = {"run": name_place(run.root), "counts": count_stages(finished)}
    numbers["rejects"] = count_reject_reasons(run)
    if run.table("trajectories").shards():
        numbers["groups"] = measure_groups(run)
    if run.table("repairs").shards():
        numbers["repairs"] = measure_repairs(run, finished.tokenizer)
    if run.table("masks").shards():
        numbers["masks"] = measure_masks(run)
        numbers["distributions"] = measure_distributions(run)
    blame, why_not = read_blame(run, finished.pipeline.mask)
    gaps = [*explain_gaps(finished), *([why_not] if why_not else [])]
    if gaps:
        numbers["left_out"] = gaps
    people = measure_agreement(finished)
    if people is not None:
        numbers["people"] = people
    if run.table("masks").shards():
        errors = measure_perception(finished)
        if errors is not None:
            numbers["errors"] = errors
    scores = run.manifest.get_stage("score").facts.get("gap")
    if scores:
        numbers["scores"] = {f"gap_{name}": value for name, value in scores.items()}
    if blame:
        numbers["blame"] = blame
    truth = measure_truth(finished)
    if truth is not None:
        numbers["demo_truth"] = truth
    return numbers


def count_stages(finished: FinishedRun) -> dict[Stage, dict[str, int]]:
    """Count rows of each stage of a run: `input`, `output`, `rejects`, `pending`.

    Where the run has no answers of its own, nothing says what a stage was given beyond what it
    wrote and refused: only stages that did either are counted, and nothing is pending.
    """
    from dfgen.store.counts import count_rows
    from dfgen.store.layout import STAGES

    run = finished.run
    if finished.has_answers_of_its_own:
        return count_rows(run)
    counts: dict[Stage, dict[str, int]] = {}
    for stage in STAGES:
        output, rejects = run.output(stage), run.rejects(stage)
        written = sum(map(output.num_rows, output.shards()))
        refused = sum(map(rejects.num_rows, rejects.shards()))
        if written or refused:
            counts[stage] = {
                "input": written + refused,
                "output": written,
                "rejects": refused,
                "pending": 0,
            }
    return counts


def explain_gaps(finished: FinishedRun) -> list[str]:
    """Say, a sentence each, what is left out because the run has no table for it.

    A run whose stages have not come that far yet lacks nothing: it says what is pending.
    """
    if finished.has_answers_of_its_own:
        return []
    gaps = []
    if finished.prompts is None:
        gaps.append("The run holds no questions and no pictures.")
    gaps.append("The run holds masks, but no answers of its own: there are no pass rates.")
    if not finished.run.table("repairs").shards():
        gaps.append("The run holds no repairs of its own: there are no attempts, checks and costs.")
    return gaps


def measure_groups(run: Run) -> dict[str, Any]:
    """Pass rates: how many prompts the policy always, sometimes or never gets right.

    Rates are over all answers: one that could not be read counts as not right, as its reward does.
    `pass_rate_of_decided` alone leaves these out; it is None where no answer is undecided or all
    are.

    `tokens_per_second` counts the time from a pass's first request to its last draw, all passes of
    the run together; None where nothing was drawn here (imported answers).
    """
    right: Counter[str] = Counter()
    size: Counter[str] = Counter()
    truncated = tokens = undecided = 0
    columns = ["prompt_id", "reward", "finish_reason", "completion_ids", "verdict"]
    for row in run.table("trajectories").iter_rows(columns=columns):
        size[row["prompt_id"]] += 1
        right[row["prompt_id"]] += is_right(row["reward"])
        undecided += bool(row["verdict"]["undecided"])
        truncated += row["finish_reason"] == "length"
        tokens += len(row["completion_ids"])
    total = sum(size.values())
    decided = total - undecided
    rates = [right[prompt] / size[prompt] for prompt in size]
    histogram = [0] * HISTOGRAM_BINS
    for rate in rates:
        histogram[min(int(rate * HISTOGRAM_BINS), HISTOGRAM_BINS - 1)] += 1
    return {
        "prompts": len(size),
        "trajectories": total,
        "pass_rate": sum(right.values()) / total if total else None,
        "pass_rate_of_decided": sum(right.values()) / decided if undecided and decided else None,
        "undecided": undecided,
        "undecided_share": undecided / total if total else None,
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
    """Measure what masks keep: rows by source, share of tokens, hunks, place of the first error.

    `empty_repairs` counts accepted repairs that leave no token to learn from, rejected
    (`mask.empty`) or kept as a row without loss; `undecided` rows whose answer could not be read.
    """
    sources: Counter[str] = Counter()
    first_error: Counter[int] = Counter()
    roles: Counter[str] = Counter()
    tokens = masked = hunks = undecided = 0
    empty = sum(row["reason"] == EMPTY for row in run.rejects("mask").iter_rows(columns=["reason"]))
    columns = ["mask_source", "loss_mask", "quality", "first_error_step", "step_roles", "undecided"]
    for row in run.table("masks").iter_rows(columns=columns):
        sources[row["mask_source"]] += 1
        undecided += bool(row["undecided"])
        if row["mask_source"] == "repair":
            tokens += len(row["loss_mask"])
            masked += sum(row["loss_mask"])
            empty += not any(row["loss_mask"])
            hunks += row["quality"]["n_hunks"]
            first_error[row["first_error_step"]] += 1
            roles.update(row["step_roles"])
    repaired = sources["repair"]
    return {
        "sources": dict(sources),
        "empty_repairs": empty,
        "undecided": undecided,
        "repaired_tokens": tokens,
        "masked_share": masked / tokens if tokens else None,
        "hunks_per_repair": hunks / repaired if repaired else None,
        "first_error_step": {str(step): n for step, n in sorted(first_error.items())},
        "step_roles": dict(roles),
    }


def measure_repairs(run: Run, tokenizer: TextTokenizer | None = None) -> dict[str, Any]:
    """Count what was accepted, how small it is, why others were refused, what it all cost.

    Args:
        tokenizer: the policy's; with it the tokens that `hunks` saved against writing whole texts
            are counted. They are the policy's tokens where the repairer's were paid, so the figure
            is an estimate.

    Tokens and cost include those of necessity tests, which `necessity` also states alone; those of
    controls stand with the controls. What was set aside (`history/`) is in the sums that say so.
    """
    ratios: list[float] = []
    refusals: Counter[str] = Counter()
    spent: Counter[str] = Counter()
    cost = 0.0
    answer_only = copies = whole = written = 0

    def count(attempt: dict[str, Any]) -> None:
        nonlocal cost
        spent["attempts"] += 1
        spent["prompt_tokens"] += attempt["prompt_tokens"] or 0
        spent["completion_tokens"] += attempt["completion_tokens"] or 0
        spent["unknown"] += attempt["cost_usd"] is None
        cost += attempt["cost_usd"] or 0.0
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
                written += attempt["completion_tokens"] or 0
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
    if spent["unknown"]:
        numbers["attempts_of_unknown_cost"] = spent["unknown"]
    if whole:
        numbers["tokens_saved_by_hunks"] = whole - written
        numbers["tokens_saved_share"] = 1 - written / whole
    if tests.hunks:
        numbers["necessity"] = asdict(tests)
    if run.table("controls").shards():
        numbers["controls"] = measure_controls(run)
    if list_history(run):
        everything = SpentCount().count(run)
        numbers["requests_with_set_aside"] = everything.requests
        numbers["cost_usd_with_set_aside"] = everything.cost_usd
    return numbers


def measure_controls(run: Run) -> dict[str, Any]:
    """Return how often the repairer changed a right answer.

    `false_edit_rate` is the share of the controls it answered; `spoiled` counts those that were
    wrong after the change.
    """
    answered = changed = spoiled = failed = 0
    cost = 0.0
    for row in run.table("controls").iter_rows():
        cost += row["attempt"]["cost_usd"] or 0.0
        if row["text"] is None:
            failed += 1
            continue
        answered += 1
        changed += row["changed"]
        spoiled += row["changed"] and not is_right(row["reward"] or 0.0)
    return {
        "answered": answered,
        "failed": failed,
        "changed": changed,
        "false_edit_rate": changed / answered if answered else None,
        "spoiled": spoiled,
        "cost_usd": cost,
    }


def measure_distributions(run: Run) -> dict[str, Any]:
    """Histograms over repaired trajectories and over attempts.

    Returns:
        right_per_group: prompts by the number of right answers, 0..K; None unless all groups have
            the same size K, at most `LARGEST_GROUP`.
        mask_by_position: `tokens` and `masked`, by twentieths of the completion.
        edit_ratio_histogram: accepted repairs by twentieths of the edit ratio.
        hunk_kinds: edits by kind, most frequent first.
        attempts_by_outcome: `accepted`, or the code of the check that refused -> `attempts`,
            `prompt_tokens`, `completion_tokens`, `cost_usd`; most frequent first.
        attempts_until_accepted: repairs by the number of attempts they took.
        cost_by_shard: see `dfgen.report.costs.measure_course`.
    """
    return {
        "right_per_group": count_right_per_group(run),
        **_spread_masks(run),
        **_spread_attempts(run),
        "cost_by_shard": measure_course(run),
    }


def count_right_per_group(run: Run) -> list[int] | None:
    """Prompts by how many of their K answers are right; None if K is not one small number."""
    right: Counter[str] = Counter()
    size: Counter[str] = Counter()
    for row in run.table("trajectories").iter_rows(columns=["prompt_id", "reward"]):
        size[row["prompt_id"]] += 1
        right[row["prompt_id"]] += is_right(row["reward"])
    sizes = set(size.values())
    if len(sizes) != 1 or max(sizes) > LARGEST_GROUP:
        return None
    histogram = [0] * (sizes.pop() + 1)
    for count in right.values():
        histogram[count] += 1
    return histogram


def _spread_masks(run: Run) -> dict[str, Any]:
    tokens, masked = [0] * POSITION_BINS, [0] * POSITION_BINS
    ratios = [0] * EDIT_RATIO_BINS
    kinds: Counter[str] = Counter()
    columns = ["mask_source", "loss_mask", "quality", "hunks"]
    for row in run.table("masks").iter_rows(columns=columns):
        if row["mask_source"] != "repair":
            continue
        length = len(row["loss_mask"])
        for index, kept in enumerate(row["loss_mask"]):
            place = index * POSITION_BINS // length
            tokens[place] += 1
            masked[place] += kept
        ratio = row["quality"]["edit_ratio"]
        ratios[min(int(ratio * EDIT_RATIO_BINS), EDIT_RATIO_BINS - 1)] += 1
        kinds.update(hunk["kind"] for hunk in json.loads(row["hunks"]))
    return {
        "mask_by_position": {"tokens": tokens, "masked": masked},
        "edit_ratio_histogram": ratios,
        "hunk_kinds": dict(kinds.most_common()),
    }


def _spread_attempts(run: Run) -> dict[str, Any]:
    outcomes: dict[str, dict[str, Any]] = {}
    until: Counter[int] = Counter()
    for attempts in _iter_attempts(run):
        accepted = [attempt["index"] for attempt in attempts if attempt["accepted"]]
        if accepted:
            until[min(accepted) + 1] += 1
        for attempt in attempts:
            sums = outcomes.setdefault(attempt["reason"], dict.fromkeys(("attempts", *SPENT), 0))
            sums["attempts"] += 1
            for name in SPENT:
                sums[name] += attempt[name] or 0
    return {
        "attempts_by_outcome": dict(
            sorted(outcomes.items(), key=lambda item: -item[1]["attempts"])
        ),
        "attempts_until_accepted": {str(count): n for count, n in sorted(until.items())},
    }


def _iter_attempts(run: Run) -> Iterator[list[dict[str, Any]]]:
    """The attempts at each trajectory, accepted in the end or not."""
    for row in run.table("repairs").iter_rows(columns=["attempts"]):
        yield row["attempts"]
    for row in run.rejects("repair").iter_rows(columns=["evidence"]):
        yield json.loads(row["evidence"]).get("attempts", [])


def measure_agreement(finished: FinishedRun) -> dict[str, Any] | None:
    """Measure how often the grader agrees with people's verdicts on imports; None without any."""
    imports = finished.pipeline.imports
    if imports is None or imports.columns.verdict is None or not finished.has_answers_of_its_own:
        return None
    pairs: Counter[tuple[bool, bool]] = Counter()
    columns = ["reward", "metadata"]
    for row in finished.run.table("trajectories").iter_rows(columns=columns):
        said = json.loads(row["metadata"]).get(imports.columns.verdict)
        if said is not None:
            pairs[is_right(row["reward"]), bool(said)] += 1
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
    truths = {} if finished.prompts is None else dict(_read_truths(finished.prompts))
    if not truths or not run.table("masks").shards():
        return None
    from dfgen.demo.truth import true_repair
    from dfgen.diff.pair import diff_pair

    repaired = exact = same_text = 0
    for row in _iter_repaired(run):
        if row["prompt_id"] not in truths:
            continue
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


def _read_truths(prompts: ShardTable) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in prompts.iter_rows(columns=["prompt_id", "metadata"]):
        metadata = json.loads(row["metadata"])
        if "demo_truth" in metadata:
            yield row["prompt_id"], metadata["demo_truth"]


def _iter_repaired(run: Run) -> Iterable[dict[str, Any]]:
    columns = ["prompt_id", "mask_source", "completion", "completion_ids", "repair", "loss_mask"]
    for row in run.table("masks").iter_rows(columns=columns):
        if row["mask_source"] == "repair":
            yield row
