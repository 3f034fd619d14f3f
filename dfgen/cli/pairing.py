"""From the options of `dfgen mask --pairs` to its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfgen.errors import ConfigError

if TYPE_CHECKING:
    from dfgen.config.mask import MaskConfig
    from dfgen.config.pairs import PairsConfig

PARQUET_ENDINGS = (".parquet", ".pq")


def make_pairs_config(path: Path, mapping: tuple[str, ...], limit: int | None) -> PairsConfig:
    """Read `--pairs`, `--map FIELD=COLUMN` and `--limit`; the file's ending tells its kind."""
    from pydantic import ValidationError

    from dfgen.config.complaints import explain_errors
    from dfgen.config.pairs import PairsConfig

    columns: dict[str, Any] = {}
    for item in mapping:
        field, equals, column = item.partition("=")
        if not equals:
            raise ConfigError(f"--map {item!r} is not of the form FIELD=COLUMN.")
        columns[field] = column
    source = "parquet" if path.is_dir() or path.suffix in PARQUET_ENDINGS else "jsonl"
    tree = {"source": source, "path": str(path), "columns": columns, "limit": limit}
    try:
        return PairsConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(explain_errors(error, PairsConfig), where="--map") from None


def make_mask_config(settings: tuple[str, ...]) -> MaskConfig:
    """Read `--set mask.FIELD=VALUE`."""
    import yaml
    from pydantic import ValidationError

    from dfgen.config.complaints import explain_errors
    from dfgen.config.mask import MaskConfig

    tree: dict[str, Any] = {}
    for item in settings:
        name, _, value = item.partition("=")
        tree[name.removeprefix("mask.")] = yaml.safe_load(value)
    try:
        return MaskConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(explain_errors(error, MaskConfig), where="--set") from None
