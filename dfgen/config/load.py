"""Reads a pipeline file: defaults < YAML < DFGEN_* environment < --set, then one validation."""

from __future__ import annotations

import codecs
import copy
import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from dfgen.config.complaints import explain_errors
from dfgen.config.pipeline import Pipeline
from dfgen.config.places import find_beside
from dfgen.config.section import list_sections
from dfgen.config.yaml_text import parse_yaml
from dfgen.errors import ConfigError, guess_path, map_all

ENV_PREFIX = "DFGEN_SET_"

MOST_BYTES = 1_000_000
"""Of a pipeline file."""

_SHOWN = 80

PARQUET_ENDINGS = (".parquet", ".pq")
CSV_ENDINGS = (".csv", ".tsv")


def load_pipeline(
    path: Path, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> Pipeline:
    """Read, complete and check a pipeline file.

    Args:
        path: the YAML file. Relative paths of data in it are looked for beside it first, those of
            overrides in the current folder (`dfgen.config.places`).
        overrides: `a.b=value` strings; the value is read as YAML (`[1, 2]`, `true`, `null`).
        environ: environment; `DFGEN_SET_REPAIR__MAX_EDIT_RATIO=0.3` sets
            `repair.max_edit_ratio`. Defaults to the process's own.

    Raises:
        ConfigError: names the file, the field and, for a misspelt key, the likely one.
    """
    tree = _read_yaml(path)
    find_beside(tree, path.parent)
    for dotted, value in _read_environment(os.environ if environ is None else environ):
        _assign(tree, dotted, value)
    _override(tree, overrides)
    return check_pipeline(tree, str(path))


def change_pipeline(
    tree: Mapping[str, Any],
    overrides: Sequence[str],
    origin: str,
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Pipeline:
    """Return a pipeline that is on record somewhere, with some fields set anew.

    Args:
        tree: as `Pipeline.model_dump` gives it; left as it is.
        overrides: as for `load_pipeline`.
        origin: names it in messages.
        file: a YAML file, whole or of some fields only; what it does not name stays as it is on
            record. Where it names another engine, nothing of the old one's section stays.
        environ: as for `load_pipeline`.

    Raises:
        ConfigError: names the field.
    """
    changed: dict[str, Any] = copy.deepcopy(dict(tree))
    if file is not None:
        changed = _lay_over(changed, _read_yaml(file), [Pipeline])
    for dotted, value in _read_environment(os.environ if environ is None else environ):
        _assign(changed, dotted, value)
    _override(changed, overrides)
    return check_pipeline(changed, origin if file is None else f"{file}, laid over {origin}")


def _lay_over(
    old: Mapping[str, Any], new: Mapping[str, Any], models: Sequence[type[BaseModel]]
) -> dict[str, Any]:
    """Sections of these models with the fields of both, the new ones' where both have one."""
    laid: dict[str, Any] = {**old, **new}
    kinds = [tree.get("engine") for tree in (old, laid)]
    if all(isinstance(kind, str) for kind in kinds) and kinds[0] != kinds[1]:
        return dict(new)  # another engine has other fields
    for name, value in new.items():
        fields = [model.model_fields[name] for model in models if name in model.model_fields]
        sections = [found for field in fields for found in list_sections(field.annotation)]
        before = old.get(name)
        if sections and isinstance(value, Mapping) and isinstance(before, Mapping):
            laid[name] = _lay_over(before, value, sections)
    return laid


def make_pairs_pipeline(
    path: Path,
    tokenizer: str,
    mapping: Sequence[str] = (),
    limit: int | None = None,
    overrides: Sequence[str] = (),
    workers: int = 0,
) -> Pipeline:
    """Make the pipeline of a file of pairs, for people who have no pipeline file.

    Args:
        path: of the pairs; its ending tells whether it is Parquet or CSV, else it is JSONL.
        tokenizer: directory or Hub id of the policy's.
        mapping: `field=column` strings.
        limit: only the first rows.
        overrides: as for `load_pipeline`.
        workers: processes; 0: one per core.

    Raises:
        ConfigError: names the option and, for a misspelt field, the likely one.
    """
    columns = dict(map_all(_split_mapping, mapping, "options cannot be read"))
    source = _guess_source(path)
    pairs = {
        "source": source,
        "path": _name_literally(path),
        "columns": columns,
        "tokenizer": tokenizer,
    }
    tree: dict[str, Any] = {"pairs": {**pairs, "limit": limit}, "workers": workers}
    _override(tree, overrides)
    return check_pipeline(tree, "the options")


def _split_mapping(item: str) -> tuple[str, str]:
    field, equals, column = item.partition("=")
    if not equals:
        raise ConfigError(f"--map {item!r} is not of the form FIELD=COLUMN.")
    return field, column


def _guess_source(path: Path) -> str:
    if path.is_dir() or path.suffix in PARQUET_ENDINGS:
        return "parquet"
    return "csv" if path.suffix in CSV_ENDINGS else "jsonl"


def make_retokenize_pipeline(path: Path, tokenizer: str) -> Pipeline:
    """Make the pipeline that carries masks over to another tokenizer.

    Args:
        path: a run directory, or a folder of mask files.
        tokenizer: directory or Hub id of the new one.
    """
    return check_pipeline(
        {"retokenize": {"path": _name_literally(path), "tokenizer": tokenizer}}, "the options"
    )


def _name_literally(path: Path) -> str:
    # A path of the command line means what it says, in a pipeline file `~` is somebody's home.
    return str(path.absolute() if str(path).startswith("~") else path)


def check_pipeline(tree: Mapping[str, Any], origin: str) -> Pipeline:
    """Validate a parsed pipeline; `origin` names it in messages."""
    try:
        return Pipeline.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(explain_errors(error), where=origin, hint=_HINT) from None


_HINT = "`dfgen config schema` prints every field; `dfgen config show FILE` the effective values."


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        # A pipe that nobody writes to would never begin; the shell's own inputs do.
        if path.is_fifo() and not str(path).startswith(("/dev/", "/proc/")):
            raise OSError(errno.EINVAL, "it is a pipe, not a file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        meant = guess_path(path)
        raise ConfigError(
            "there is no such pipeline file.",
            where=str(path),
            hint=f"Did you mean {str(meant)!r}?"
            if meant
            else "`dfgen config init FILE` writes a commented one.",
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot be read: {reason}.", where=str(path)) from None
    if len(content) > MOST_BYTES:
        raise ConfigError(
            f"has more than {MOST_BYTES:,} bytes, so it is no pipeline file.", where=str(path)
        )
    tree = parse_yaml(_decode(content, path), str(path))
    if not isinstance(tree, dict):
        raise ConfigError(
            "must be a mapping of sections (prompts:, policy:, ...).", where=str(path)
        )
    return tree


def _decode(content: bytes, path: Path) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ConfigError("is text in UTF-16; save it as UTF-8.", where=str(path))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"is not text in UTF-8 (byte 0x{content[error.start]:02x}).", where=f"{path}:{line}"
        ) from None


def _read_environment(environ: Mapping[str, str]) -> list[tuple[str, Any]]:
    return [
        (
            name.removeprefix(ENV_PREFIX).lower().replace("__", "."),
            _parse_value(environ[name], name),
        )
        for name in sorted(environ)
        if name.startswith(ENV_PREFIX)
    ]


def _override(tree: dict[str, Any], overrides: Sequence[str]) -> None:
    map_all(lambda item: _override_one(tree, item), overrides, "options cannot be read")


def _override_one(tree: dict[str, Any], item: str) -> None:
    dotted, equals, text = item.partition("=")
    if not equals or not dotted:
        raise ConfigError(f"--set {item!r} is not of the form name.of.field=value.")
    _assign(tree, dotted, _parse_value(text, f"--set {dotted}"))


def _parse_value(text: str, origin: str) -> Any:
    try:
        return parse_yaml(text, origin)
    except ConfigError as error:
        raise ConfigError(
            f"the value {text[:_SHOWN]!r} {error.what}", where=origin, hint="Quote it."
        ) from None


_LANE = "repair.engine.lane"


def _assign(tree: dict[str, Any], dotted: str, value: Any) -> None:
    repair = tree.get("repair")
    if dotted == _LANE and isinstance(repair, dict) and repair.get("engines"):
        # How requests travel is said of all repairers, whose sections may stand twice in a record.
        for each in (repair.get("engine"), *repair["engines"]):
            if isinstance(each, dict) and each.get("engine") == "openai":
                each["lane"] = value
        return
    *parents, last = dotted.split(".")
    node = tree
    for name in parents:
        child = node.setdefault(name, {})
        if child is None:
            child = node[name] = {}
        if not isinstance(child, dict):
            raise ConfigError(f"{dotted}: {name} is not a section.")
        node = child
    node[last] = value
