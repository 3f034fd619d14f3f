"""Checks by looking at files whether a name is a model, before a library fails obscurely on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from dfgen.errors import EngineError

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
_TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
    "tekken.json",
)


def check_location(model: str) -> Path | None:
    """Return the directory that `model` names, or None where it is a name on the Hub.

    Raises:
        EngineError: it names a file, or a directory that does not exist or lacks what a model
            needs; the message lists what is missing.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        missing = list(_list_missing(path))
        if missing:
            raise EngineError(
                f"{model!r} is not a model directory: it lacks {', '.join(missing)}.",
                where=str(path.resolve()),
                hint="Name a directory written by save_pretrained(), or a model on the Hub.",
            )
        return path
    if path.exists():
        raise EngineError(
            f"{model!r} is a file, not a model directory.",
            hint="Name the directory that holds config.json and the weights.",
        )
    if _looks_like_path(model):
        raise EngineError(
            f"there is no directory {model!r}.",
            where=str(path.absolute()),
            hint="Relative paths are taken from the directory where dfgen was started.",
        )
    return None


def check_processor_files(model: str, directory: Path | None) -> None:
    """Refuse a model directory that comes without a processor.

    Raises:
        EngineError: neither of its files is there.
    """
    if directory is None or any((directory / name).is_file() for name in _PROCESSOR_FILES):
        return
    raise EngineError(
        f"{model!r} comes without a processor: it has neither {' nor '.join(_PROCESSOR_FILES)}.",
        where=str(directory.resolve()),
        hint="Save it with processor.save_pretrained(), or copy these files from the model that "
        "it was trained from.",
    )


def list_weights(directory: Path) -> list[Path]:
    """Return the weight files of a model directory, in a fixed order."""
    return sorted(path for pattern in _WEIGHTS for path in directory.glob(pattern))


def _list_missing(directory: Path) -> Iterator[str]:
    if not (directory / "config.json").is_file():
        yield "config.json"
    if not list_weights(directory):
        yield "weights (*.safetensors)"
    if not any((directory / name).is_file() for name in _TOKENIZERS):
        yield "a tokenizer (tokenizer.json)"


def _looks_like_path(model: str) -> bool:
    """Tell a path from a Hub name, which is `name` or `owner/name`."""
    if model.startswith((".", "~", os.sep)) or model.endswith(os.sep) or "\\" in model:
        return True
    return model.count("/") > 1
