"""Reads and checks the directory of a LoRA adapter, before vLLM fails obscurely on it."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dfgen.errors import EngineError

_CONFIG = "adapter_config.json"
_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")

# vLLM takes no other values for its largest rank.
_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)


@dataclass(frozen=True, slots=True)
class Adapter:
    """What is known of an adapter without loading it.

    Attributes:
        base: name or directory of the model it was trained on, as its config says.
        sha256: digest of config and weights: its identity in the manifest.
    """

    directory: Path
    rank: int
    base: str | None
    sha256: str

    @property
    def max_rank(self) -> int:
        """The smallest rank that vLLM can be told and that this adapter fits in."""
        return next(rank for rank in _RANKS if rank >= self.rank)


def find_adapter(directory: str) -> tuple[Path, Path, Path]:
    """Find an adapter as PEFT writes it: its directory, config and weights.

    Raises:
        EngineError: no such directory, or no adapter in it.
    """
    path = Path(directory).expanduser()
    config, weights = path / _CONFIG, [path / name for name in _WEIGHTS if (path / name).is_file()]
    if not path.is_dir() or not config.is_file() or not weights:
        raise EngineError(
            f"{directory!r} is not the directory of a LoRA adapter: it needs {_CONFIG} and "
            f"{_WEIGHTS[0]}.",
            where=str(path.absolute()),
            hint="Name a directory written by PEFT's save_pretrained().",
        )
    return path, config, weights[0]


def read_adapter(directory: str) -> Adapter:
    """Read an adapter as PEFT writes it.

    Raises:
        EngineError: no such directory, no adapter in it, or a rank that vLLM does not take.
    """
    path, config, weights = find_adapter(directory)
    try:
        settings = json.loads(config.read_bytes())
        rank, base = int(settings["r"]), settings.get("base_model_name_or_path")
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(f"{_CONFIG} cannot be read: {error!r}", where=str(config)) from None
    if not 0 < rank <= _RANKS[-1]:
        raise EngineError(
            f"the adapter's rank is {rank}; vLLM takes 1 to {_RANKS[-1]}.", where=str(config)
        )
    digest = hashlib.sha256(config.read_bytes())
    with weights.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return Adapter(path.resolve(), rank, base, digest.hexdigest())


def check_fit(adapter: Adapter, model: Path) -> None:
    """Refuse an adapter whose matrices are not those of this model's layers.

    vLLM 0.32 loads such an adapter without a word. Layers are matched by the end of their names,
    because every version of transformers puts other prefixes in front. What cannot be compared
    (packed quantised weights, an adapter that is not in safetensors) is left to vLLM.

    Raises:
        EngineError: a matrix has another shape, or no layer of the adapter is in the model.
    """
    weights = adapter.directory / _WEIGHTS[0]
    if not weights.is_file():
        return
    shapes = dict(_read_shapes([weights]))
    base = {
        _find_place(name): shape
        for name, shape in _read_shapes(sorted(model.glob("*.safetensors")))
        if name.endswith(".weight") and len(shape) == 2
    }
    found = 0
    for name, shape in shapes.items():
        module, part, _ = name.rpartition(".lora_")
        expected = base.get(_find_place(f"{module}.weight"))
        if not part or expected is None:
            continue
        found += 1
        # A is [rank, input], B is [output, rank]; the weight itself is [output, input].
        side, size = ("input", shape[1]) if ".lora_A" in name else ("output", shape[0])
        if size != expected[1 if side == "input" else 0]:
            raise EngineError(
                f"the LoRA adapter does not fit the model: {module} has an {side} of {size} "
                f"there, and of {expected[1 if side == 'input' else 0]} in the model.",
                where=str(adapter.directory),
                hint=f"It was trained on {adapter.base or 'a model that it does not name'}.",
            )
    if shapes and base and not found:
        raise EngineError(
            "the LoRA adapter does not fit the model: none of its layers is there.",
            where=str(adapter.directory),
            hint=f"It was trained on {adapter.base or 'a model that it does not name'}.",
        )


def _find_place(name: str) -> tuple[bool, str]:
    """Return what identifies a weight whatever prefixes it has: its tower and its layer."""
    in_vision = "vision" in name or "visual" in name
    for mark in (".layers.", ".blocks."):
        if mark in name:
            return in_vision, name.rpartition(mark)[2]
    return in_vision, name


def _read_shapes(files: Iterable[Path]) -> Iterator[tuple[str, list[int]]]:
    """Yield names and shapes of tensors, from the headers of safetensors files alone.

    Source: https://github.com/huggingface/safetensors (format): eight bytes of length, then JSON.
    """
    for path in files:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
        for name, entry in header.items():
            if name != "__metadata__":
                yield name, entry["shape"]
