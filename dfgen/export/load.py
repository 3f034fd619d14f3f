"""Loads masks and groups in Python: of a run, of exported files, or of a data set on the Hub.

    for row in dfgen.load_masks("runs/demo", tokenizer="Qwen/Qwen2.5-VL-3B-Instruct"):
        row["completion_ids"], row["loss_mask"]          # numpy arrays of one length

    for group in dfgen.load_groups("me/my-masks"):
        group["images"], [t["reward"] for t in group["trajectories"]]

Rows have the same columns wherever they come from. `datasets.load_dataset` reads the same tables
without dfgen; what it cannot do is tell that the ids belong to another tokenizer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfgen.dataset_names import MANIFEST
from dfgen.errors import InputError
from dfgen.export.tables import GROUPS, TRAJECTORIES
from dfgen.export.tables.table import ExportTable

if TYPE_CHECKING:
    from dfgen.export.sources import Source
    from dfgen.tokens.tokenizer import TextTokenizer

PROVED_ROWS = 32
"""Rows that are decoded to prove a tokenizer where no hash was noted."""

SHOWN_DIGITS = 12
"""Of a hash, in messages."""

_SHORT_HASH = re.compile(rf"[0-9a-f]{{{SHOWN_DIGITS}}}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REPO_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Rows:
    """Rows of a table; iterate over it as often as you like. A few megabytes are in memory.

    Attributes:
        tokenizer_sha256: of the tokenizer that all ids belong to; None where nobody noted it.
        columns: the columns that rows have; None: all.
    """

    _source: Source
    columns: tuple[str, ...] | None = None

    @property
    def tokenizer_sha256(self) -> str | None:
        """sha256 of vocabulary, merges and special tokens (`TextTokenizer.sha256`)."""
        return self._source.tokenizer

    def __iter__(self) -> Iterator[dict[str, Any]]:
        from dfgen.export.rows import iter_rows

        batches = self._source.batches(self.columns)
        return chain.from_iterable(map(iter_rows, batches))

    def __len__(self) -> int:
        """Number of rows; a run's groups are counted by going through them."""
        if self._source.count is not None:
            return self._source.count
        return sum(batch.num_rows for batch in self._source.batches(["prompt_id"]))


def load_masks(
    path_or_repo: str | Path,
    *,
    tokenizer: Any = None,
    columns: Sequence[str] | None = None,
    revision: str | None = None,
) -> Rows:
    """Load trajectories with their masks, one row each.

    Args:
        path_or_repo: a run directory, a folder or file of `dfgen export --to trajectories`, a
            folder or file of masks, or the id of a data set on the Hub.
        tokenizer: what the ids are going to be used with: a name or folder, a `transformers`
            tokenizer or processor, a `TextTokenizer`, or its sha256. None: no check.
        columns: only these; fewer columns are faster.
        revision: branch, tag or commit of a data set on the Hub.

    Returns:
        Rows as dictionaries: `completion_ids` int32[T], `loss_mask` bool[T], `logprobs` float32[T]
        and all others of `dfgen.records.Mask` (`completion` is called `completion_text`), lists of
        numbers as read-only numpy arrays.

    Raises:
        InputError: there is no such data; or its ids belong to another tokenizer.
        DamagedFileError: a file is missing or broken.
    """
    return _load(path_or_repo, TRAJECTORIES, tokenizer, columns, revision)


def load_groups(
    path_or_repo: str | Path,
    *,
    tokenizer: Any = None,
    columns: Sequence[str] | None = None,
    revision: str | None = None,
) -> Rows:
    """Load prompts with all their trajectories: one row is one group of GRPO.

    Arguments and errors are those of `load_masks`. A column inside of the trajectories is named
    with a dot (`trajectories.loss_mask`); without `images`, pictures are not read.

    Returns:
        Rows as dictionaries: `prompt`, `messages`, `problem`, `images` (`{bytes, path}`), `answer`,
        and `trajectories`, a list of dictionaries like the rows of `load_masks`.
    """
    return _load(path_or_repo, GROUPS, tokenizer, columns, revision)


def _load(
    path_or_repo: str | Path,
    table: ExportTable,
    tokenizer: Any,
    columns: Sequence[str] | None,
    revision: str | None,
) -> Rows:
    source = _open(path_or_repo, table, revision)
    if tokenizer is not None:
        _check_tokenizer(source, tokenizer, table)
    return Rows(source, None if columns is None else tuple(columns))


def _open(path_or_repo: str | Path, table: ExportTable, revision: str | None) -> Source:
    from dfgen.export import sources

    path = Path(path_or_repo).expanduser()
    if (path / "run.json").is_file():
        return sources.open_run(path, table)
    if (path / MANIFEST).is_file():
        return sources.open_folder(path, table)
    if path.is_file():
        return sources.open_files([path], table)
    if path.is_dir():
        # `dfgen mask --pairs` writes OUT/masks.
        files = sorted(path.glob("*.parquet")) or sorted((path / "masks").glob("*.parquet"))
        if not files:
            raise InputError("there is no Parquet file in this folder.", where=str(path))
        return sources.open_files(files, table)
    if isinstance(path_or_repo, Path) or not _REPO_ID.fullmatch(path_or_repo):
        raise InputError(
            "there is no such file or folder, and it is no id of a data set on the Hub.",
            where=str(path_or_repo),
        )
    return _open_repo(path_or_repo, table, revision)


def _open_repo(repo_id: str, table: ExportTable, revision: str | None) -> Source:
    """A data set on the Hub, its commit fixed now; files are fetched when their turn comes."""
    from dfgen.export.manifest import read_dataset_manifest
    from dfgen.export.sources import Source, make_reader

    manifest_path = _fetch(repo_id, MANIFEST, revision)
    # The cache keeps files under snapshots/<commit>/, so the commit is known offline as well.
    commit = manifest_path.parent.name
    manifest = read_dataset_manifest(manifest_path)
    listed = manifest.tables.get(table.name)
    if listed is None:
        raise InputError(
            f"the data set has no table {table.name}; it has {', '.join(manifest.tables)}.",
            where=repo_id,
        )
    files: list[Callable[[], Path]] = [
        lambda name=entry.path: _fetch(repo_id, name, commit)  # type: ignore[misc]
        for entry in listed.files
    ]
    sha256 = manifest.tokenizer["sha256"]
    return Source(repo_id, sha256, listed.rows, make_reader(files, table, sha256))


def _fetch(repo_id: str, name: str, revision: str | None) -> Path:
    import huggingface_hub
    from huggingface_hub import errors

    try:
        path = huggingface_hub.hf_hub_download(
            repo_id, name, repo_type="dataset", revision=revision
        )
    except (OSError, ValueError, errors.HfHubHTTPError, errors.EntryNotFoundError) as error:
        # The local kind only says that the cache lacks the file and the Hub was not reached.
        gone = isinstance(error, errors.EntryNotFoundError)
        if gone and not isinstance(error, errors.LocalEntryNotFoundError):
            hint = "Not made by `dfgen publish`? datasets.load_dataset reads any data set."
            text = f"the data set has no file {name}."
            raise InputError(text, where=repo_id, hint=hint) from error
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"cannot fetch {name}: {first}",
            where=repo_id,
            hint="Check the id, the revision and the network; for a private or gated data set, "
            "set HF_TOKEN or log in with `hf auth login`.",
        ) from error
    return Path(path)


def _check_tokenizer(source: Source, given: Any, table: ExportTable) -> None:
    name, sha256, tokenizer = _identify(given)
    if source.tokenizer is not None:
        if sha256 != source.tokenizer:
            raise _describe_mismatch(
                source, name, f"{sha256[:12]}… instead of {source.tokenizer[:12]}…"
            )
        return
    if tokenizer is None or table is not TRAJECTORIES:
        raise InputError(
            "nobody noted which tokenizer the ids of these rows belong to.",
            where=source.name,
            hint="Give the tokenizer itself, which is then proved by decoding, or none.",
        )
    for row in islice(
        Rows(source, ("trajectory_id", "completion_ids", "completion_text")), PROVED_ROWS
    ):
        if tokenizer.decode(row["completion_ids"].tolist()) != row["completion_text"]:
            found = f"the ids of {row['trajectory_id']} do not decode to its text"
            raise _describe_mismatch(source, name, found)


def _describe_mismatch(source: Source, name: str, found: str) -> InputError:
    path = Path(source.name)
    if (path / "run.json").is_file():
        origin, of_what = source.name, ""
    elif source.tokenizer is None and path.is_file():
        origin, of_what = str(path.parent), ""
    else:  # retokenize reads runs and mask files
        origin, of_what = "RUN", ", in the run that this was made from"
    wanted = "TOKENIZER" if _SHORT_HASH.fullmatch(name) else name
    return InputError(
        f"the token ids belong to another tokenizer than {name} ({found}).",
        where=source.name,
        hint=f"Masks would fall on the wrong tokens. Carry them over first{of_what}:\n"
        f"  dfgen retokenize {origin} --tokenizer {wanted} --out DIR",
    )


def _identify(given: Any) -> tuple[str, str, TextTokenizer | None]:
    """Name, hash and, unless only the hash was given, the tokenizer."""
    from dfgen.tokens.tokenizer import TextTokenizer

    if isinstance(given, str) and _SHA256.fullmatch(given):
        return given[:SHOWN_DIGITS], given, None
    if isinstance(given, (str, Path)):
        from dfgen.tokens.loading import load_tokenizer

        tokenizer = load_tokenizer(str(given))
        return str(given), tokenizer.sha256, tokenizer
    if not isinstance(given, TextTokenizer):
        given = TextTokenizer.from_transformers(getattr(given, "tokenizer", given))
    return given.name, given.sha256, given
