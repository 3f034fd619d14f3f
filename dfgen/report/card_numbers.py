"""The figures of a card: models, counts, rejects, masks, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_STAGES = {
    "prompts": "prompts read",
    "sample": "answers drawn",
    "repair": "wrong answers repaired",
    "mask": "masks made",
}
_SOURCES = {
    "repair": "repaired",
    "correct": "right",
    "outcome": "wrong, no accepted repair",
}


def describe_models(manifest: Mapping[str, Any]) -> str:
    """Models, revisions, sampling, hashes of the prompts."""
    origin = manifest["origin"]
    sampling, repair = origin["sampling"], origin["repair"]
    policy, repairer = origin.get("policy"), origin.get("repairer")
    lines = ["| | |", "|---|---|"]
    if policy:
        lines.append(f"| policy | {_name_engine(policy)} |")
        lines.append(
            f"| sampling | {sampling['num_samples']} answers per prompt, temperature "
            f"{sampling['temperature']}, top-p {sampling['top_p']}, at most "
            f"{sampling['max_tokens']} tokens |"
        )
        lines.append(f"| prompt template | sha256 `{_shorten(sampling['prompt_sha256'])}` |")
    if "imported_from" in origin:
        lines.append(f"| answers | imported, of `{escape(origin['imported_from'])}` |")
    lines.append(f"| grader | `{escape(origin['grader']['name'])}` |")
    if repairer:
        shown = "was shown" if repair["answer"] == "given" else "was not shown"
        lines.append(f"| repairer | {_name_engine(repairer)} |")
        lines.append(
            f"| repair | protocol `{repair['protocol']}`; {shown} the reference answer; at most "
            f"{repair['max_attempts']} attempts; at most {repair['max_edit_ratio']:.0%} of the "
            "tokens changed |"
        )
        lines.append(f"| repair template | sha256 `{_shorten(repair['prompt_sha256'])}` |")
    lines.append(f"| seed | {origin['seed']} |")
    lines.append(f"| run begun | {manifest['run_created']}, dfgen {manifest['dfgen']} |")
    return "\n".join(lines)


def list_counts(manifest: Mapping[str, Any]) -> str:
    """Rows of every stage."""
    counts = manifest.get("numbers", {}).get("counts", {})
    lines = ["| stage | in | out | rejected |", "|---|---:|---:|---:|"]
    for stage, label in _STAGES.items():
        if stage in counts:
            row = counts[stage]
            lines.append(f"| {label} | {row['input']:,} | {row['output']:,} | {row['rejects']:,} |")
    groups = manifest.get("numbers", {}).get("groups")
    if groups:
        lines.append("")
        lines.append(
            f"The policy was right in {groups['pass_rate']:.1%} of its answers: always in "
            f"{groups['all_right']:,} prompts, sometimes in {groups['mixed']:,}, never in "
            f"{groups['all_wrong']:,}."
        )
    if manifest.get("prompts_left_out"):
        lines.append(
            f"{manifest['prompts_left_out']:,} prompts have no trajectory and are left out."
        )
    return "\n".join(lines)


def list_reject_reasons(manifest: Mapping[str, Any]) -> str:
    """Rejects of every stage by reason; empty if there are none."""
    rejects = manifest.get("numbers", {}).get("rejects", {})
    lines = [
        f"| {_STAGES.get(stage, stage)} | `{escape(reason)}` | {count:,} |"
        for stage, reasons in rejects.items()
        for reason, count in reasons.items()
    ]
    return "\n".join(["| stage | reason | rows |", "|---|---|---:|", *lines]) if lines else ""


def list_mask_figures(manifest: Mapping[str, Any]) -> str:
    """Share of masked tokens, hunks, where the first error is."""
    numbers = manifest.get("numbers", {})
    masks, repairs = numbers.get("masks"), numbers.get("repairs")
    if not masks:
        return "No figures."
    lines = ["| | |", "|---|---:|"]
    for source, count in masks["sources"].items():
        lines.append(f"| trajectories: {_SOURCES.get(source, source)} | {count:,} |")
    if masks.get("masked_share") is not None:
        lines.append(
            f"| tokens in the mask, of repaired trajectories | {masks['masked_share']:.1%} |"
        )
        lines.append(f"| hunks per repair | {masks['hunks_per_repair']:.2f} |")
    if repairs and repairs.get("median_edit_ratio") is not None:
        lines.append(f"| median edit ratio | {repairs['median_edit_ratio']:.3f} |")
        lines.append(f"| only the final answer changed | {repairs['answer_only']:,} |")
    steps = masks.get("first_error_step") or {}
    if steps:
        total = sum(steps.values())
        shown = ", ".join(
            f"step {int(step) + 1}: {count / total:.0%}"
            for step, count in sorted(steps.items(), key=lambda item: int(item[0]))
            if int(step) >= 0
        )
        lines += ["", f"First error: {shown}."]
    return "\n".join(lines)


def escape(text: object) -> str:
    """Text of others inside of a Markdown table."""
    return str(text).replace("|", "\\|").replace("`", "'").replace("\n", " ")


def _name_engine(engine: Mapping[str, Any]) -> str:
    revision = f" at `{escape(engine['revision'])}`" if engine.get("revision") else ""
    return f"`{escape(engine['model'])}`{revision}"


def _shorten(digest: str | None) -> str:
    return digest[:16] if digest else "none"
