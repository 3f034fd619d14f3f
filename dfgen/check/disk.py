"""Checks whether the disk has room for what a run writes, estimated from its first rows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from dfgen.check.finding import Finding
from dfgen.check.scope import Scope
from dfgen.errors import DfgenError
from dfgen.prompts.counting import count_source_rows
from dfgen.store.counts import count_stage

_BYTES_PER_TOKEN = 24
"""Of a sampled token: id, logprob and text in a table, and once more in the journal until then."""


def check_disk(scope: Scope) -> Iterator[Finding]:
    """Find a disk on which the run would end in the middle."""
    if scope.out is None or not scope.stages:
        return
    needed = _estimate_bytes(scope)
    folder = _find_existing(scope.out)
    free = shutil.disk_usage(folder).free
    if needed is None or free >= sum(needed):
        return
    pictures, answers = needed
    too_small = free < pictures
    yield Finding(
        "error" if too_small else "warning",
        f"the run may need {_write_size(sum(needed))} ({_write_size(pictures)} for pictures, up to "
        f"{_write_size(answers)} for answers), and {_write_size(free)} are free.",
        str(folder),
        "Choose another disk for --out, or begin with --limit.",
    )


def _estimate_bytes(scope: Scope) -> tuple[int, int] | None:
    """Bytes of pictures, and of answers at most; None where nobody knows."""
    pipeline = scope.pipeline
    if "prompts" not in scope.stages or pipeline.prompts is None:
        return None
    try:
        prompts, total = scope.rows.prompts, count_source_rows(pipeline.prompts)
    except DfgenError:  # of the source; said elsewhere
        return None
    if total is None or not prompts:
        return None
    pictures = sum(len(image.bytes) for prompt in prompts for image in prompt.images)
    there = 0 if scope.run is None else count_stage(scope.run, "prompts")["input"]
    rows = max(0, total.rows - there)
    cells = rows * pipeline.sample.num_samples if "sample" in scope.stages else 0
    answers = cells * pipeline.sample.max_tokens * _BYTES_PER_TOKEN
    return round(pictures / len(prompts) * rows), answers


def _find_existing(path: Path) -> Path:
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _write_size(size: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
