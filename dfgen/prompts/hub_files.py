"""Keeps a data set that `datasets` opens to its own files, whatever its card and rows name.

Both were written by strangers, and could name any address or any file of this machine.
`datasets` follows what a card lists under `data_files`, and fsspec what stands in a row
(`zip://a.png::https://...`), so both are looked at before either is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from dfgen.config.prompts import SourceConfig
from dfgen.config.yaml_text import parse_yaml
from dfgen.errors import InputError, RowError
from dfgen.prompts.inside import check_inside
from dfgen.regular_files import read_at_most

# As `datasets` and huggingface_hub name and read them.
_CARD, _STANDALONE = "README.md", ".huggingface.yaml"
_FRONT_MATTER = re.compile(r"\A\s*---[\r\n]+(.*?)[\r\n]+---(?:\r\n|\r|\n|\Z)", re.DOTALL)
_PATTERNS = ("data_files", "data_dir")
_MOST_BYTES = 10_000_000
_ARCHIVES = {"zip", "tar", "gzip", "bz2", "xz", "lz4", "zstd"}


def check_card(config: SourceConfig, local: Path) -> None:
    """Refuse a data set whose card takes files from elsewhere, before anything follows it.

    Args:
        config: of the source.
        local: where the data set lies, if it lies here.

    Raises:
        InputError: the card names an address, or a path that leads out of the data set.
        ConfigError: the card is not YAML that can be read.
    """
    for name in (_CARD, _STANDALONE):
        file = local / name if local.exists() else _download(config, name)
        if file is None or not file.is_file():
            continue
        content = read_at_most(file, _MOST_BYTES)
        if len(content) > _MOST_BYTES:
            raise InputError(f"the card has more than {_MOST_BYTES:,} bytes.", where=str(file))
        text = content.decode("utf-8", "replace")
        if name == _CARD:
            found = _FRONT_MATTER.match(text)
            text = found[1] if found else ""
        where = f"{config.path}/{name}"
        for pattern in _list_patterns(parse_yaml(text, where, unique_keys=False)):
            if _leads_out(pattern, config):
                raise InputError(
                    f"the card of the data set takes its rows from elsewhere: {pattern!r:.200}.",
                    where=where,
                    hint="dfgen follows no address that stands in data. If you trust this one, "
                    "download the file and name it in prompts.path.",
                )


def _download(config: SourceConfig, name: str) -> Path | None:
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(
            huggingface_hub.hf_hub_download(
                str(config.path), name, repo_type="dataset", revision=config.revision
            )
        )
    except EntryNotFoundError:  # also when offline and not in the cache: nobody reads it then
        return None


def _list_patterns(tree: Any) -> Iterator[str]:
    configs = tree.get("configs") if isinstance(tree, dict) else None
    for entry in configs if isinstance(configs, list) else []:
        if isinstance(entry, dict):
            for name in _PATTERNS:
                yield from _list_texts(entry.get(name))


def _list_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _list_texts(item)


def _leads_out(pattern: str, config: SourceConfig) -> bool:
    if "::" not in pattern and _is_of_repository(pattern, config):
        pattern = pattern.removeprefix("hf://")
    path = PurePosixPath(pattern)
    return (
        "://" in pattern
        or "::" in pattern
        or path.is_absolute()
        or ".." in path.parts
        or pattern.startswith("~")
    )


def _is_of_repository(address: str, config: SourceConfig) -> bool:
    """Tell whether an hf:// address is one of the data set's own."""
    # `datasets` writes the id of the Hub, which has an owner where old short names have none.
    own = re.escape(str(config.path))
    owner = "" if "/" in str(config.path) else r"(?:[^/@]+/)?"
    return re.match(rf"hf://datasets/{owner}{own}[@/]", address, re.IGNORECASE) is not None


def fetch_pictures(cell: Any, config: SourceConfig, local: Path) -> Any:
    """Return a cell with the bytes of its pictures, where they are files of the data set.

    A picture that is a file on the Hub or in an archive comes as an address that only fsspec can
    open. It is opened if it is the data set's own; any other stays an address, and rejects its row
    later. At most one byte more than a picture may have is read.

    Raises:
        Exception: whatever fsspec and the readers of archives raise.
    """
    if isinstance(cell, list):
        return [fetch_pictures(item, config, local) for item in cell]
    if not isinstance(cell, dict) or set(cell) != {"bytes", "path"}:
        return cell
    path = cell["path"]
    if cell["bytes"] is not None or not isinstance(path, str) or "://" not in path:
        return cell
    if not _is_own(path, config, local):
        return cell
    import fsspec  # type: ignore[import-untyped]

    with fsspec.open(path, "rb") as stream:
        data = stream.read(config.images.max_bytes + 1)
    return {"bytes": data, "path": path.partition("::")[0].rpartition("/")[2]}


def _is_own(address: str, config: SourceConfig, local: Path) -> bool:
    *inner, outer = address.split("::")
    if not all(hop.partition("://")[0] in _ARCHIVES and "://" in hop for hop in inner):
        return False
    if not local.exists():
        return _is_of_repository(outer, config) and ".." not in PurePosixPath(outer).parts
    if not inner or "://" in outer:
        return False
    try:
        if config.keeps_pictures_inside:
            check_inside(Path(outer), local)
    except (RowError, OSError, ValueError):
        return False
    return True
