"""Writes the card (README.md) of a published data set from its manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from dfgen.report.training import write_training
from dfgen.version import DISTRIBUTION

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LARGEST = "1M<n<10M"

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

_COUNTED = {
    "undecided": "of them undecided: without loss, to be left out of baselines",
    "empty_repairs": "accepted repairs that leave no token to learn from",
}

_GIVEN = {
    "completion_ids": "tokens of the text; `ids_source` says whether they were sampled",
    "logprobs": "null unless the source of the masks gave them",
    "reward": "as the source of the masks gave it; 0 for pairs",
    "mask_source": "`repair`: a correction is given; `correct`, `outcome`: none, by the reward",
}
"""Meaning of columns where neither answers nor repairs were made here."""

_LOADERS = {
    "trajectories": """
import dfgen            # installed as {distribution}; with a check of the tokenizer
for row in dfgen.load_masks("{repo_id}", tokenizer="YOUR-POLICY"):
    row["completion_ids"], row["loss_mask"], row["reward"]        # numpy arrays
""",
    "groups": """
import dfgen            # installed as {distribution}; with a check of the tokenizer
for group in dfgen.load_groups("{repo_id}", tokenizer="YOUR-POLICY"):
    [(row["completion_ids"], row["loss_mask"], row["reward"]) for row in group["trajectories"]]
""",
}

_COLUMNS = (
    ("completion_ids", "int32[T]", "tokens exactly as sampled"),
    ("logprobs", "float32[T]", "under the policy that sampled them"),
    ("reward", "float32", "the grader's verdict"),
    (
        "mask_source",
        "string",
        "`repair`: a verified repair exists; `correct`: right; `outcome`: wrong, no repair",
    ),
    ("loss_mask", "bool[T]", "where the gradient flows: what the repair changed"),
    ("token_ops", "int8[T]", "0 equal, 1 substituted, 2 deleted, 3 moved, 4 format only"),
    ("gap_mask", "bool[T+1]", "the repair inserts something before this token"),
    ("repair_ids, repair_mask", "int32[U], bool[U]", "the repaired answer and what is new in it"),
    ("step_ids, step_labels", "int16[T], bool[S]", "steps, and which of them the repair touches"),
    ("token_bytes", "int32[T+1]", "where each token lies in the text, in UTF-8 bytes"),
    ("hunks", "JSON", "every edit with its texts, spans and kind"),
    ("undecided", "bool", "true: nobody knows the reward; leave it out of the group's baseline"),
)


def write_card(
    manifest: Mapping[str, Any],
    *,
    repo_id: str,
    license_name: str | None,
    pictures: Sequence[str],
    descriptions: Mapping[str, str],
) -> str:
    """Write the text of README.md.

    Args:
        manifest: the content of dfgen.json.
        repo_id: `owner/name`, for the examples.
        license_name: as the Hub writes it; None leaves the field out.
        pictures: paths of plots in the data set.
        descriptions: what a row of each table is.
    """
    title = repo_id.rpartition("/")[2]
    tables = manifest["tables"]
    shown = "\n".join(f"![{_name_picture(path)}]({path})" for path in pictures)
    rejects = list_reject_reasons(manifest)
    optional = [
        f"# {title}",
        _write_summary(manifest),
        shown,
        "## Tables\n\n" + _write_tables(manifest, descriptions),
        "## Load it\n\n" + _write_loading(repo_id, manifest),
        "## Train with it\n\n" + write_training(repo_id) if "groups" in tables else "",
        "## How it was made\n\n" + describe_models(manifest),
        "## Counts\n\n" + list_counts(manifest),
        "## What was left out\n\n" + rejects if rejects else "",
        "## Masks\n\n" + list_mask_figures(manifest),
        "## Columns of a trajectory\n\n" + _write_columns(manifest) if _find_loader(tables) else "",
        "## Limits\n\n" + _write_limits(manifest, license_name),
        "## Citation\n\n" + _write_citation(repo_id, title),
    ]
    sections = [section for section in optional if section]
    return (
        f"---\n{_write_header(manifest, title, license_name)}---\n\n" + "\n\n".join(sections) + "\n"
    )


def _write_header(manifest: Mapping[str, Any], title: str, license_name: str | None) -> str:
    tables = manifest["tables"]
    rows = max(table["trajectories"] for table in tables.values())
    header: dict[str, Any] = {
        **({"license": license_name} if license_name else {}),
        "pretty_name": title,
        "task_categories": ["image-text-to-text"],
        "size_categories": [next((name for limit, name in _SIZES if rows < limit), _LARGEST)],
        "tags": ["dfgen", "grpo", "rlvr", "process-supervision", "token-masks", "image", "text"],
        # No dataset_info: a count that is wrong by one breaks every reader, and none needs it.
        "configs": [
            {
                "config_name": name,
                "data_files": [{"split": "train", "path": f"{name}/train-*.parquet"}],
                **({"default": True} if index == 0 else {}),
            }
            for index, name in enumerate(tables)
        ],
    }
    return yaml.safe_dump(header, sort_keys=False, allow_unicode=True)


def _write_summary(manifest: Mapping[str, Any]) -> str:
    share = manifest.get("numbers", {}).get("masks", {}).get("masked_share")
    marked = f" (here {share:.0%} of its tokens)" if share is not None else ""
    if not _knows_models(manifest):
        return (
            "Texts with mistakes, with **token masks** that say which tokens were wrong: those "
            f"that a given correction changed{marked}. The texts and their corrections were taken "
            "as they were; no model was asked and nothing was graded in making this data set. Made "
            f"with dfgen {manifest['dfgen']}."
        )
    return (
        "Answers of a vision-language policy to questions about pictures, with **token masks** "
        "that say which tokens were wrong. Each wrong answer was repaired by a stronger model "
        "with the smallest edit that a grader accepts; what the edit changed"
        f"{marked} is where a GRPO gradient should flow, and the rest was fine. No person labelled "
        f"any step. Made with dfgen {manifest['dfgen']}."
    )


def _write_tables(manifest: Mapping[str, Any], descriptions: Mapping[str, str]) -> str:
    lines = ["| config | rows | trajectories | what a row is |", "|---|---:|---:|---|"]
    for name, table in manifest["tables"].items():
        lines.append(
            f"| `{name}` | {table['rows']:,} | {table['trajectories']:,} | {descriptions[name]} |"
        )
    return "\n".join(lines)


def _write_loading(repo_id: str, manifest: Mapping[str, Any]) -> str:
    first = next(iter(manifest["tables"]))
    loader = _find_loader(manifest["tables"])
    loading = _LOADERS[loader].format(repo_id=repo_id, distribution=DISTRIBUTION) if loader else ""
    return f"""```python
from datasets import load_dataset
table = load_dataset("{repo_id}", "{first}", split="train")       # without dfgen
{loading}```

Token ids belong to the tokenizer `{manifest["tokenizer"]["name"]}` (sha256
`{manifest["tokenizer"]["sha256"]}`). For another policy, carry the masks over with
`dfgen retokenize`."""


def _find_loader(tables: Mapping[str, Any]) -> str | None:
    """The table that `dfgen` itself would load rows with token ids from; None: there is none."""
    return next((name for name in _LOADERS if name in tables), None)


def _write_columns(manifest: Mapping[str, Any]) -> str:
    given = {} if _knows_models(manifest) else _GIVEN
    lines = ["T = tokens of the answer, U = of the repair, S = steps.", ""]
    lines += ["| column | type | meaning |", "|---|---|---|"]
    lines += [
        f"| `{name}` | {kind} | {given.get(name, meaning)} |" for name, kind, meaning in _COLUMNS
    ]
    return "\n".join(lines)


def _knows_models(manifest: Mapping[str, Any]) -> bool:
    """Whether the run drew its answers, so that it says how; masks of pairs come without."""
    return "sampling" in manifest["origin"]


def _write_limits(manifest: Mapping[str, Any], license_name: str | None) -> str:
    terms = f"`{license_name}`" if license_name else "none is stated"
    ending = (
        f"- Licence of this data set: {terms}. Questions and pictures keep the terms of their "
        "source, answers those of the models that wrote them."
    )
    if not _knows_models(manifest):
        return (
            "- Masks are as good as the corrections, which nobody checked in making it.\n"
            "- Most marked tokens are consequences of the first error (a copied number, a sum): "
            "wrong for the picture, right given the mistake before. `hunks` says which.\n"
            "- `reward` is what the source of the masks said; of pairs it is 0 throughout.\n"
            + ending
        )
    return (
        "- Masks are as good as the repairs. A repair is verified by its final answer; that every "
        "intermediate step of it is true is not.\n"
        "- Answers that are right for wrong reasons count as right.\n"
        "- Most marked tokens are consequences of the first error (a copied number, a sum): wrong "
        "for the picture, right given the mistake before. `hunks` says which.\n"
        "- `outcome` rows have no accepted repair; their mask is the plain outcome's.\n" + ending
    )


def _write_citation(repo_id: str, title: str) -> str:
    key = "".join(c if c.isalnum() else "_" for c in title)
    return (
        "The idea is *Difference Feedback: Generating Multimodal Process-Level Supervision for VLM "
        f"Reinforcement Learning* (arXiv:2603.27482).\n\n```bibtex\n@misc{{{key},\n"
        f"  title = {{{title}: difference masks for GRPO}},\n"
        f"  howpublished = {{Hugging Face data set {repo_id}}},\n"
        "  note = {made with dfgen}\n}\n```"
    )


def describe_models(manifest: Mapping[str, Any]) -> str:
    """Models, revisions, sampling, hashes of the prompts."""
    origin = manifest["origin"]
    begun = f"| run begun | {manifest['run_created']}, dfgen {manifest['dfgen']} |"
    if not _knows_models(manifest):
        return f"| | |\n|---|---|\n{begun}"
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
    lines.append(begun)
    return "\n".join(lines)


def list_counts(manifest: Mapping[str, Any]) -> str:
    """List the rows of every stage."""
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
        lines += _describe_undecided(groups)
    if manifest.get("prompts_left_out"):
        lines.append(
            f"{manifest['prompts_left_out']:,} prompts have no trajectory and are left out."
        )
    tables = manifest.get("tables", {})
    lost = {name: table.get("masks_left_out") for name, table in tables.items()}
    named = [f"`{name}`" for name, count in lost.items() if count]
    if named:
        lines.append(
            f"{max(filter(None, lost.values())):,} masks have no question and are not in "
            f"{' and '.join(named)}."
        )
    return "\n".join(lines)


def _describe_undecided(groups: Mapping[str, Any]) -> list[str]:
    """What is to be said of answers that nobody could read; nothing if there were none."""
    if not groups.get("undecided"):
        return []
    of_decided = groups.get("pass_rate_of_decided")
    share = "" if of_decided is None else f"; without them it was right in {of_decided:.1%}"
    return [
        f"{groups['undecided']:,} answers could not be read: nobody knows whether they are right "
        f"(counted above as not right{share})."
    ]


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
    for name, label in _COUNTED.items():
        if masks.get(name):
            lines.append(f"| {label} | {masks[name]:,} |")
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


def _name_picture(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".png").replace("_", " ").replace("-", " ")
