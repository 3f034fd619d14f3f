"""Reads a data set that the `datasets` library opens: a Hub id or a local path, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from dfgen.config.prompts import SourceConfig
from dfgen.errors import DfgenError, InputError
from dfgen.prompts.arrow_rows import BATCH_ROWS, to_rows
from dfgen.prompts.columns import NAMED_LEVELS, check_columns
from dfgen.prompts.files import describe_files
from dfgen.prompts.hub_files import check_card, fetch_pictures
from dfgen.prompts.row_edge import make_storable
from dfgen.prompts.rows import AnyRow, SourceRow, UnreadableRow

_SAVED = ("dataset_dict.json", "state.json")
_DATA = (".parquet", ".arrow", ".json", ".jsonl", ".csv", ".zip", ".tar", ".gz")


def read_hub(config: SourceConfig) -> Iterator[AnyRow]:
    """Yield the rows of one split; numbers are rows counted from 0.

    Pictures come as their original bytes: nothing is decoded. Class labels become their names.

    Raises:
        InputError: the data set, its configuration, split or revision cannot be opened, the
            stream breaks off, a column is not there; its card names files elsewhere.
        ConfigError: its card is not YAML that can be read.
    """
    path = str(config.path)
    local = Path(path).expanduser()
    name = f"{local.name if local.exists() else path}/{config.split}"
    folder = local if local.is_dir() else None
    with _explain_failure(config):
        check_card(config, local)
        table = _open(config, local)
        features = table.features
        if features is None:
            table = table._resolve_features()
            features = table.features
        (columns,) = check_columns(config, {path: _list_names(features or {})})
        top = [column for column in features or {} if _is_wanted(column, columns)]
        labels = _find_labels(features, top)
        # As Arrow, because one bad cell must not cost the rows that stand beside it.
        table = table.select_columns(top).decode(False).with_format("arrow")
        batches = table.iter(batch_size=BATCH_ROWS)
        for number, values in enumerate(row for batch in batches for row in to_rows(batch)):
            if isinstance(values, str):
                yield UnreadableRow(name, number, values)
            else:
                yield _complete_row(SourceRow(name, number, values, folder), labels, config, local)


def _complete_row(
    row: SourceRow, labels: dict[str, list[str]], config: SourceConfig, local: Path
) -> AnyRow:
    """Return a row with names in place of class labels, and its pictures' bytes."""
    try:
        values = {
            column: fetch_pictures(cell, config, local) for column, cell in row.values.items()
        }
    except MemoryError:
        raise
    except Exception as error:  # archives of strangers raise anything
        if isinstance(error, OSError) and not local.exists():
            raise  # the network: other rows would fail, too
        said = (str(error).splitlines() or [""])[0]
        detail = f"a picture cannot be read ({type(error).__name__}: {said:.200})"
        return UnreadableRow(row.file, row.number, make_storable(detail))
    for column, names in labels.items():
        code = values[column]
        # -1 stands for "no label", as in test splits.
        known = isinstance(code, int) and 0 <= code < len(names)
        values[column] = names[code] if known else None
    return replace(row, values=values)


def describe_hub(config: SourceConfig) -> dict[str, Any]:
    """Return what identifies the data set: files of a local one, the commit of one on the Hub.

    Raises:
        InputError: the Hub cannot be asked, or has no such data set.
    """
    path = str(config.path)
    local = Path(path).expanduser()
    asked = {"name": config.name, "split": config.split, "revision": config.revision}
    if local.exists():
        files = sorted(file for file in local.rglob("*") if file.name.endswith(_DATA))
        return {"path": path, **asked, "files": describe_files(files)}
    import huggingface_hub

    with _explain_failure(config):
        found = huggingface_hub.HfApi().dataset_info(path, revision=config.revision)
    return {"id": path, **asked, "commit": found.sha}


def _open(config: SourceConfig, local: Path) -> Any:
    import datasets

    if any((local / name).is_file() for name in _SAVED):
        saved = datasets.load_from_disk(str(local))
        if isinstance(saved, datasets.DatasetDict):
            if config.split not in saved:
                splits = ", ".join(map(str, saved))
                raise InputError(
                    f"there is no split {config.split!r}.",
                    where=str(local),
                    hint=f"The data set has: {splits}.",
                )
            saved = saved[config.split]
        return saved.to_iterable_dataset()
    return datasets.load_dataset(
        str(local) if local.exists() else str(config.path),
        config.name,
        split=config.split,
        revision=config.revision,
        streaming=True,
    )


@contextmanager
def _explain_failure(config: SourceConfig) -> Iterator[None]:
    import datasets

    bars = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    except (DfgenError, MemoryError):
        raise
    except Exception as error:  # builders, the Hub client and file systems each raise their own
        lines = str(error).strip().splitlines() or [""]
        asked = {"name": config.name, "split": config.split, "revision": config.revision}
        shown = ", ".join(f"{key} {value}" for key, value in asked.items() if value)
        raise InputError(
            f"the data set cannot be read: {type(error).__name__}: {lines[0]}",
            where=f"{config.path} ({shown})",
            hint="Check the id or path, the split and the network; for a gated data set, log in"
            " with `hf auth login`.",
        ) from error
    finally:
        if bars:
            datasets.enable_progress_bars()


def _list_names(features: Any, prefix: str = "", levels: int = NAMED_LEVELS) -> list[str]:
    names = []
    for name, feature in features.items():
        names.append(prefix + name)
        if isinstance(feature, dict) and levels > 1:
            names.extend(_list_names(feature, f"{prefix}{name}.", levels - 1))
    return names


def _is_wanted(column: str, wanted: list[str]) -> bool:
    return any(name == column or name.startswith(f"{column}.") for name in wanted)


def _find_labels(features: Any, columns: list[str]) -> dict[str, list[str]]:
    import datasets

    return {
        column: list(features[column].names)
        for column in columns
        if isinstance(features[column], datasets.ClassLabel)
    }
