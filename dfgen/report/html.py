"""Writes the page of `dfgen report`: one HTML file that needs no network and no other file.

The page holds an index of all its trajectories as JSON, and the trajectories themselves in packs of
`PACK_ROWS`, compressed, which the browser decodes when they are looked at or searched. So a report
of thousands opens as fast as one of fifty; there is no second file to lose.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfgen.errors import InputError
from dfgen.report.embedding import hash_source, pack_json, write_json
from dfgen.report.page_data import (
    describe_details,
    describe_prompt,
    describe_row,
    name_model,
    turn_to_columns,
)
from dfgen.report.picking import pick_trajectories
from dfgen.report.samples import gather_samples
from dfgen.report.sent import SentTexts
from dfgen.report.stats import collect_numbers
from dfgen.report.thumbnails import make_thumbnail
from dfgen.report.view import build_view
from dfgen.store.atomic_files import make_directory, replace_file
from dfgen.store.os_errors import explain_os_errors
from dfgen.version import VERSION

if TYPE_CHECKING:
    from dfgen.report.samples import Sample
    from dfgen.store.finished import FinishedRun

_ASK_SERVER = "connect-src 'self'; "

_FORMULA = re.compile(r"\$[^$\n]+\$|\$\$|\\\(|\\\[")

PACK_ROWS = 50
MOST_SENT = 1_500_000
"""Characters of requests in a file: half a megabyte as they are packed, mostly less."""
DEFAULT_LIMIT = 200
# As base64 this is 2.7 MB, which leaves as much again for texts within 5 MB.
PICTURE_BYTES = 2_000_000
LARGEST_PICTURE = 200_000
SMALLEST_PICTURE = 10_000

STYLES = ("base", "layout", "list", "difference", "group", "mathematics", "charts", "print")
FIRST_SCRIPTS = ("elements", "keeping", "store", "words")
SCRIPTS = (
    *("mathematics", "difference", "requests", "details", "group", "zoom", "filters", "finding"),
    *("list", "charts", "blame", "curves", "overview", "compare", "marks", "labels", "tips"),
    *("keys", "start"),
)


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """What `write_report` wrote: the file, its size, and how much of the run is in it."""

    path: Path
    bytes: int
    shown: int
    total: int


def write_report(
    finished: FinishedRun,
    out: Path,
    limit: int = DEFAULT_LIMIT,
    curves: list[dict[str, Any]] | None = None,
) -> WrittenReport:
    """Write the report of a run; an older one of the same name is replaced at once, or not at all.

    Args:
        finished: a run with masks.
        out: the HTML file.
        limit: trajectories in it at most; more than the run has means all.
        curves: learning curves to show, as `dfgen.report.curves` reads them.

    Raises:
        InputError: the run has no masks yet.
        StorageError: the file cannot be written.
    """
    numbers = collect_numbers(finished)
    total = numbers["counts"].get("mask", {}).get("output", 0)
    if not total:
        raise InputError(
            "there is nothing to report on: the run has no masks yet.",
            where=str(finished.run.root),
            hint="`dfgen run` makes them; `dfgen stats` shows how far the run is.",
        )
    wanted = pick_trajectories(finished.run, limit)
    samples = gather_samples(finished, wanted)
    if curves:
        numbers["curves"] = curves
    run = describe_run(finished, len(wanted), total)
    run["questions"] = len({name.rpartition("-")[0] for name in wanted})
    text = write_page(samples, numbers, run, SentTexts(finished, MOST_SENT))
    # A repairer's JSON can hold half a surrogate pair, which no UTF-8 file can.
    data = text.encode(errors="replace")
    with explain_os_errors(out, "write"):
        make_directory(out.parent)
        with replace_file(out) as temporary:
            temporary.write_bytes(data)
    return WrittenReport(out, len(data), len(wanted), total)


def describe_run(finished: FinishedRun, shown: int, total: int) -> dict[str, Any]:
    """Describe the run for the top of the page; paths of this machine stay out of it."""
    pipeline, manifest = finished.pipeline, finished.run.manifest
    policy, repairer = pipeline.policy, pipeline.repair.engine
    if not finished.has_answers_of_its_own:
        policy = repairer = None  # whoever they were, this run did not ask them
    return {
        "name": finished.run.root.resolve().name,
        "pipeline": pipeline.name,
        "created": manifest.created,
        "version": VERSION,
        "policy": None if policy is None else name_model(policy.model),
        "repairer": None if repairer is None else name_model(repairer.model),
        "shown": shown,
        "total": total,
    }


def write_page(
    samples: Iterable[Sample],
    numbers: dict[str, Any],
    run: dict[str, Any],
    sent: SentTexts | None = None,
) -> str:
    """Write the whole page as text; without `sent` it shows no requests."""
    prompts: dict[str, int] = {}
    described: list[dict[str, Any]] = []
    pictures: list[str] = []
    rows: list[dict[str, Any]] = []
    packs: list[str] = []
    pending: list[dict[str, Any]] = []
    drawn = False
    room = PICTURE_BYTES // max(1, run.get("questions", run["shown"]))
    room = max(SMALLEST_PICTURE, min(LARGEST_PICTURE, room))
    for sample in samples:
        prompt_id = sample.prompt["prompt_id"]
        if prompt_id not in prompts:
            prompts[prompt_id] = len(prompts)
            entry = describe_prompt(sample)
            blocks = list(_embed_pictures(sample, prompts[prompt_id], room, entry))
            described.append(entry)
            pictures += blocks
        drawn = drawn or has_formula(sample)
        view = build_view(sample.mask)
        rows.append(describe_row(sample, prompts[prompt_id]))
        asked = None if sent is None else sent.describe(sample)
        pending.append(describe_details(sample, view, asked))
        if len(pending) == PACK_ROWS:
            packs.append(pack_json(pending))
            pending = []
    if pending:
        packs.append(pack_json(pending))
    head = {
        "run": run,
        "numbers": {name: value for name, value in numbers.items() if name != "run"},
        "packRows": PACK_ROWS,
        "part": {"prompts": described, "rows": turn_to_columns(rows)},
    }
    blocks = [f'<script type="application/json" id="head">{write_json(head)}</script>']
    blocks += [
        f'<script type="text/plain" id="pack-{number}">{pack}</script>'
        for number, pack in enumerate(packs)
    ]
    return fill_page(run["name"], blocks + pictures, mathematics=drawn)


def has_formula(sample: Sample) -> bool:
    """Say whether a text of a trajectory seems to hold a formula of LaTeX."""
    prompt, mask = sample.prompt, sample.mask
    texts = [prompt["question"], prompt["answer"], *prompt.get("choices", ())]
    texts += [mask["completion"], mask["repair"] or ""]
    return any(_FORMULA.search(text) for text in texts)


def fill_page(
    name: str,
    blocks: Iterable[str],
    served: Sequence[str] | None = None,
    *,
    mathematics: bool = True,
) -> str:
    """Put the page together.

    Args:
        mathematics: with the library that draws formulas, 170 kB.
        name: of the run.
        blocks: the data, elements that hold no code.
        served: scripts in place of the one that reads the data from the page itself; the page then
            asks the program that serves it.
    """
    source = (_read_part("from_file.js"),) if served is None else tuple(served)
    style = read_style()
    script = read_script((_read_part("vendor/temml.min.js"), *source) if mathematics else source)
    policy = write_policy(script, style, served=served is not None)
    values = {
        "policy": policy,
        "title": html.escape(f"{name} · dfgen report"),
        "style": style,
        "script": script,
        "data": "\n".join(blocks),
    }
    # One pass: a value that happens to hold a placeholder is not looked at again.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], _read_part("report.html"))


def write_policy(script: str, style: str, *, served: bool) -> str:
    """Write the Content-Security-Policy: this script and this style run, and nothing else does."""
    return (
        f"default-src 'none'; script-src {hash_source(script)}; style-src {hash_source(style)}; "
        f"img-src data:; {_ASK_SERVER if served else ''}"
        "base-uri 'none'; form-action 'none'"
    )


def _embed_pictures(sample: Sample, number: int, room: int, entry: dict[str, Any]) -> Iterator[str]:
    """The pictures of a prompt, each in a block of its own; their sizes go into its entry."""
    images = sample.prompt.get("images", [])
    for index, image in enumerate(images):
        thumbnail = make_thumbnail(image["bytes"], room // len(images))
        name = (image["path"] or "").replace("\\", "/").rpartition("/")[2]
        facts: dict[str, Any] = {"name": name}
        if thumbnail is not None:
            facts |= {
                "width": thumbnail.width,
                "height": thumbnail.height,
                "exact": thumbnail.exact,
            }
            block = f'<script type="text/plain" id="picture-{number}-{index}">'
            yield f"{block}{thumbnail.url}</script>"
        entry["pictures"].append(facts)


@cache
def read_style() -> str:
    """Read all style sheets of the page in order."""
    return "\n".join(_read_part(f"{name}.css") for name in STYLES)


@cache
def read_script(source: tuple[str, ...]) -> str:
    """Read all scripts of the page in order, in one scope of their own.

    Args:
        source: the text of the scripts that say where the page gets its rows.
    """
    parts = [_read_part(f"{name}.js") for name in FIRST_SCRIPTS]
    parts += source
    parts += [_read_part(f"{name}.js") for name in SCRIPTS]
    text = "\n".join(parts)
    return f'"use strict";\n(() => {{\n{text}\n}})();\n'


@cache
def _read_part(name: str) -> str:
    return resources.files("dfgen.report").joinpath(f"page/{name}").read_text("utf-8")
