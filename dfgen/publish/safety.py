"""Looks through everything that would be published, before anything is.

What is checked are the staged files themselves: every string of every table, the metadata of every
file, manifest, card, and every picture.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfgen.errors import UnsafeDataError
from dfgen.parquet_batches import iter_batches, list_leaves
from dfgen.publish.patterns import PATTERNS
from dfgen.publish.positions import has_gps
from dfgen.publish.release import Release
from dfgen.regular_files import open_for_arrow

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

OWN_SECRET = "own-secret"
_SECRET_NAMES = re.compile(r"(TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_?KEY)", re.IGNORECASE)
_SHORTEST_SECRET = 12

NO_LICENSE = "no-license"
GPS = "gps"
UNFINISHED = "unfinished"
FOREIGN_REPO = "foreign-repo"
CHECKS = (*PATTERNS, OWN_SECRET, GPS, NO_LICENSE, UNFINISHED, FOREIGN_REPO)
"""What `--allow` takes."""

SHOWN = 12

BATCH_BYTES = 16 * 1024 * 1024
"""Texts and pictures in memory at a time; a batch of one large row may have more."""

_BATCH_ROWS = 4096


@dataclass(frozen=True)
class Finding:
    """Something that must not be published: which check, where, and what it looks like."""

    check: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.check}: {self.where}: {self.what}"


@dataclass
class Findings:
    """What the checks found; of each check in each column one example is kept, all are counted."""

    examples: dict[tuple[str, str], Finding] = field(default_factory=dict)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, check: str, place: str, row: str, what: str) -> None:
        """Note a finding."""
        where = f"{place}, {row}" if row else place
        self.examples.setdefault((check, place), Finding(check, where, what))
        self.counts[check, place] += 1

    def list_refused(self, allowed: Iterable[str]) -> list[tuple[Finding, int]]:
        """Findings of checks that the user did not allow, with how many there are."""
        accepted = set(allowed)
        return [
            (finding, self.counts[key])
            for key, finding in self.examples.items()
            if key[0] not in accepted
        ]


def check_release(
    release: Release, license_name: str | None, unfinished: str | None, allowed: Iterable[str]
) -> None:
    """Stop if anything in the staged files must not be published.

    Args:
        license_name: of the data set.
        unfinished: what the run still has to do, in words; None: nothing.
        allowed: checks whose findings the user accepts.

    Raises:
        UnsafeDataError: names each check, an example, and how to allow it.
    """
    findings = Findings()
    if not (license_name or "").strip():
        findings.add(NO_LICENSE, "card", "", "the licence is empty; give --license (cc-by-4.0, …)")
    if unfinished is not None:
        findings.add(UNFINISHED, "run", "", unfinished)
    scanner = Scanner(findings)
    for file in release.files:
        if file.path.endswith(".parquet"):
            scanner.scan_parquet(file.source, file.path)
        elif file.path.endswith((".md", ".json")):
            scanner.scan_text(file.source.read_text("utf-8"), file.path, "")
    refuse(findings.list_refused(allowed))


def refuse(refused: list[tuple[Finding, int]]) -> None:
    """Raise `UnsafeDataError` if there is anything to refuse."""
    if not refused:
        return
    lines = [
        f"  {finding}" + (f" (and {count - 1:,} more)" if count > 1 else "")
        for finding, count in refused[:SHOWN]
    ]
    if len(refused) > SHOWN:
        lines.append(f"  ... and {len(refused) - SHOWN} more places")
    names = sorted({finding.check for finding, _ in refused})
    raise UnsafeDataError(
        "nothing was sent, because this must not be published by accident:\n" + "\n".join(lines),
        hint="Put it right in the source, or accept it knowingly: "
        + " ".join(f"--allow {name}" for name in names),
    )


class Scanner:
    """Runs all patterns over texts; notes what it finds."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        # Letters are those of ASCII to RE2; otherwise a key behind a Chinese letter, which RE2 has
        # found, would be the middle of a word to Python.
        self.patterns = {name: re.compile(text, re.ASCII) for name, text in list_patterns().items()}
        self._any = "|".join(f"(?:{text})" for text in list_patterns().values())

    def scan_text(self, text: str, place: str, row: str) -> None:
        """Look through one text with every pattern."""
        for name, pattern in self.patterns.items():
            found = pattern.search(text)
            if found:
                shown = found[0].strip() if name == "local-path" else mask_secret(found[0])
                self.findings.add(name, place, row, repr(shown))

    def scan_parquet(self, path: Path, name: str) -> None:
        """Look through every string, picture and metadata entry of a file."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(open_for_arrow(path), pre_buffer=False) as file:
            for key, value in (file.schema_arrow.metadata or {}).items():
                self.scan_text(value.decode(errors="replace"), f"{name} metadata", key.decode())
            for batch in iter_batches(file, BATCH_BYTES, _BATCH_ROWS, _list_texts(file)):
                self.scan_batch(batch, name)

    def scan_batch(self, batch: pa.RecordBatch, name: str) -> None:
        """Look through the columns of some rows."""
        import pyarrow as pa
        import pyarrow.compute as pc

        names = batch.schema.names
        ids = batch.column("prompt_id" if "prompt_id" in names else names[0])
        for column, owners, values in iter_leaves(batch):
            place = f"{name} {column}"
            if pa.types.is_binary(values.type):
                for index, data in enumerate(values.to_pylist()):
                    if data is not None and has_gps(data):
                        row = str(ids[int(owners[index])])
                        self.findings.add(
                            GPS, place, f"prompt {row}", "a picture says where it was taken"
                        )
                continue
            # One pass of RE2 over the whole column; rows that hit are looked at one by one.
            hits = pc.indices_nonzero(
                pc.fill_null(pc.match_substring_regex(values, self._any), False)
            )
            for index in hits.to_pylist():
                row = str(ids[int(owners[index])])
                self.scan_text(values[index].as_py(), place, f"prompt {row}")


def _list_texts(file: pq.ParquetFile) -> list[str]:
    """The leaves that are looked through; ids and log-probs are most of a file and are none."""
    return [
        leaf
        for index, leaf in enumerate(list_leaves(file))
        if file.schema.column(index).physical_type == "BYTE_ARRAY"
    ]


def iter_leaves(batch: pa.RecordBatch) -> Iterator[tuple[str, Any, pa.Array]]:
    """Yield every column of strings or bytes, however deep: name, row of each value, values."""
    import numpy as np

    rows = np.arange(batch.num_rows)
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        yield from _walk(name, rows, column)


def _walk(name: str, rows: Any, array: pa.Array) -> Iterator[tuple[str, Any, pa.Array]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_struct(array.type):
        for field_, values in zip(array.type, array.flatten(), strict=True):
            yield from _walk(f"{name}.{field_.name}", rows, values)
    elif pa.types.is_list(array.type):
        inner = array.type.value_type
        if pa.types.is_primitive(inner):
            return
        owners = rows[pc.list_parent_indices(array).to_numpy()]
        yield from _walk(name, owners, array.flatten())
    elif pa.types.is_string(array.type) or pa.types.is_binary(array.type):
        yield name, rows, array


def list_patterns() -> dict[str, str]:
    """List all patterns, and the values of this process's own secrets among them."""
    own = find_own_secrets()
    extra = {OWN_SECRET: "|".join(re.escape(value) for value in own)} if own else {}
    return PATTERNS | extra


def find_own_secrets() -> list[str]:
    """Values of environment variables that are named like a secret, and the Hub's token."""
    from huggingface_hub import get_token

    values = {value for name, value in os.environ.items() if _SECRET_NAMES.search(name)}
    values.add(get_token() or "")
    # A switch such as TOKENIZERS_PARALLELISM=false, a path or a short word is no secret.
    return sorted(v for v in values if len(v) >= _SHORTEST_SECRET and "/" not in v and " " not in v)


def mask_secret(text: str) -> str:
    """Enough of a finding to know it again, not enough to use it."""
    shown = text.strip()
    return f"{shown[:6]}…" if len(shown) > 8 else "…"
