"""Validates what a path holds: a run directory, or mask files by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfgen.errors import InputError
from dfgen.validate.masks import check_masks

if TYPE_CHECKING:
    from dfgen.tokens.tokenizer import TextTokenizer

# More problems than this help nobody.
MAX_PROBLEMS = 1000
BATCH_ROWS = 256


@dataclass
class Findings:
    """What was looked at and what is wrong."""

    checked: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "sound": not self.problems,
            "checked": self.checked,
            "problems": self.problems,
        }


def validate_path(path: Path, tokenizer_name: str | None) -> Findings:
    """Check a run directory, one mask file, or a folder of mask files.

    Args:
        path: what to check.
        tokenizer_name: decodes ids again; None: the run's own, or none for single files.
    """
    if (path / "run.json").exists():
        return _validate_run(path, tokenizer_name)
    folder = path / "masks" if (path / "masks").is_dir() else path
    files = [path] if path.is_file() else sorted(folder.glob("*.parquet"))
    if not files:
        raise InputError("is neither a run nor a folder with mask files.", where=str(path))
    tokenizer = _load(tokenizer_name)
    findings = Findings()
    _check_rows(_read_files(files), tokenizer, findings)
    return findings


def _validate_run(path: Path, tokenizer_name: str | None) -> Findings:
    from dfgen.store.finished import open_finished
    from dfgen.validate.audit import audit

    finished = open_finished(path)
    findings = Findings()
    findings.problems.extend(audit(finished.run))
    findings.checked.append("every row of every stage: one of output, rejects, pending")
    if finished.run.table("masks").shards():
        tokenizer = _load(tokenizer_name) or finished.tokenizer
        _check_rows(finished.run.table("masks").iter_rows(), tokenizer, findings)
    return findings


def _load(name: str | None) -> TextTokenizer | None:
    if name is None:
        return None
    from dfgen.tokens.loading import load_tokenizer

    return load_tokenizer(name)


def _check_rows(
    rows: Iterator[dict[str, Any]], tokenizer: TextTokenizer | None, findings: Findings
) -> None:
    count = 0

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal count
        for row in rows:
            count += 1
            yield row

    for problem in check_masks(counted(), tokenizer):
        findings.problems.append(problem)
        if len(findings.problems) >= MAX_PROBLEMS:
            findings.checked.append(f"stopped after {MAX_PROBLEMS} problems")
            return
    decoded = "ids decoded again" if tokenizer else "ids not decoded: no --tokenizer given"
    findings.checked.append(f"{count:,} mask rows: every invariant ({decoded})")


def _read_files(files: list[Path]) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    from dfgen.records import Mask

    for file in files:
        try:
            source = pq.ParquetFile(file)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot be read as Parquet: {error}.", where=str(file)) from None
        missing = set(Mask.model_fields) - set(source.schema_arrow.names)
        if missing:
            raise InputError(
                f"is not a mask file: it has no column {', '.join(sorted(missing))}.",
                where=str(file),
            )
        for batch in source.iter_batches(BATCH_ROWS):
            yield from batch.to_pylist()
