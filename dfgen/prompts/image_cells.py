"""Finds the pictures of a row, loads their bytes, and verifies each picture once."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import unquote_to_bytes
from urllib.request import url2pathname

from dfgen.config.prompts import SourceConfig
from dfgen.errors import RowError
from dfgen.prompts.columns import MISSING, find_value, list_image_columns, suggest_field
from dfgen.prompts.image_check import check_size, verify_image
from dfgen.prompts.inside import check_inside
from dfgen.prompts.rows import SourceRow
from dfgen.records import Image, ImageInfo
from dfgen.regular_files import check_regular, read_at_most

_CACHED = 1024
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# How the first bytes of PNG, JPEG, GIF, WebP and TIFF look in base64.
_BASE64_STARTS = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "SUkq", "TU0AK")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
# fsspec's addresses may stand in each other: zip://a.png::https://example.com/b.zip
_CHAINED = re.compile(r"::[A-Za-z][A-Za-z0-9+.-]+://")


def find_pictures(row: SourceRow, config: SourceConfig) -> list[Any] | None:
    """Return the picture cells of a row in order; None if the row has no picture column.

    A null cell is no picture; a null inside a list stays and will reject the row.
    """
    columns = config.columns.images
    if isinstance(columns, str):
        columns = [columns]
    names = list_image_columns(config) if columns is None else columns
    cells = [find_value(row.values, name) for name in names]
    lists = [_to_list(cell) for cell in cells if cell is not MISSING]
    if columns is None:
        return next(filter(None, lists), []) if lists else None
    return [item for items in lists for item in items] if columns else None


def _to_list(cell: Any) -> list[Any]:
    if cell is None or cell == "":
        return []
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        try:
            parsed = json.loads(cell)
        except (ValueError, RecursionError):
            return [cell]
        return parsed if isinstance(parsed, list) else [cell]
    return cell if isinstance(cell, list) else [cell]


class PictureReader:
    """Loads and verifies pictures; the same bytes are decoded once for many prompts.

    Args:
        config: what a picture may be, and where its file may lie.
    """

    def __init__(self, config: SourceConfig) -> None:
        self._limits = config.images
        self._columns = config.columns.images
        root = config.image_root
        self._root = None if root is None else Path(root).expanduser()
        self._inside = config.keeps_pictures_inside
        self._verified: OrderedDict[bytes, ImageInfo | RowError] = OrderedDict()

    def read(self, cells: list[Any], folder: Path | None) -> tuple[list[Image], list[ImageInfo]]:
        """Return the pictures of one row and what decoding them showed.

        Raises:
            RowError: image_missing, image_remote, image_too_large, image_too_small,
                image_too_narrow, image_too_many, image_corrupt, image_outside.
        """
        if len(cells) > self._limits.max_per_prompt:
            raise RowError(
                "image_too_many",
                f"the row has {len(cells)} pictures, more than images.max_per_prompt"
                f" = {self._limits.max_per_prompt}",
                {"images": len(cells)},
            )
        images, infos = [], []
        for number, cell in enumerate(cells, start=1):
            path = _name(cell)
            try:
                image = self._load(cell, folder)
                info = self._verify(image.bytes)
            except RowError as error:
                named = f"picture {number}" + (f" ({path})" if path else "")
                evidence = {"image": number, "path": path, **error.evidence}
                if error.reason == "image_missing":
                    evidence["absolute"] = _is_absolute(cell)
                raise RowError(error.reason, f"{named}: {error.detail}", evidence) from error
            images.append(image)
            infos.append(info)
        return images, infos

    def _verify(self, data: bytes) -> ImageInfo:
        key = sha256(data).digest()
        known = self._verified.pop(key, None)
        if known is None:
            try:
                known = verify_image(data, self._limits)
            except RowError as error:
                # Without its traceback, which would keep the picture's bytes alive.
                known = RowError(error.reason, error.detail, error.evidence)
        self._verified[key] = known
        if len(self._verified) > _CACHED:
            self._verified.popitem(last=False)
        if isinstance(known, RowError):
            raise RowError(known.reason, known.detail, known.evidence)
        return known

    def _load(self, cell: Any, folder: Path | None) -> Image:
        if isinstance(cell, bytes):
            return Image(bytes=cell)
        if isinstance(cell, Mapping):
            data, path = cell.get("bytes"), cell.get("path")
            if isinstance(data, str):
                data = self._decode_base64(data)
            if isinstance(data, bytes) and data:
                return Image(bytes=data, path=_name(cell))
            if isinstance(path, str) and path:
                return self._load_text(path, folder)
            said = "the cell has neither bytes nor a path"
            if cell and cell.keys().isdisjoint(("bytes", "path")):
                said += "; the field that has one is named with a dot, where the "
                said += f"column is no list: {self._suggest(cell)}"
            raise RowError("image_missing", said)
        if isinstance(cell, str) and cell.strip():
            return self._load_text(cell.strip(), folder)
        what = "is empty" if cell is None or cell == "" else f"is of type {type(cell).__name__}"
        raise RowError("image_missing", f"the cell {what}, not a picture or a path")

    def _suggest(self, cell: Mapping[str, Any]) -> str:
        named = self._columns
        return suggest_field(cell, named if isinstance(named, str) else "image")

    def _load_text(self, text: str, folder: Path | None) -> Image:
        if text[:5].lower() == "data:":
            return Image(bytes=self._decode_data_url(text))
        if text.startswith(_BASE64_STARTS) and len(text) >= 64:
            bare = "".join(text.split())
            if _BASE64.fullmatch(bare):
                return Image(bytes=self._decode_base64(bare))
        root = self._root or folder
        if text.startswith("file://") and "::" not in text:
            return self._load_file(Path(url2pathname(text.removeprefix("file://"))), root)
        if _SCHEME.match(text) or _CHAINED.search(text):
            raise RowError(
                "image_remote",
                "the picture is an address; dfgen fetches none. Download the pictures and give"
                " their paths (with prompts.image_root, if they lie elsewhere)",
            )
        path = Path(text)
        return self._load_file(path if root is None else root / path, root, text)

    def _load_file(self, path: Path, root: Path | None, text: str | None = None) -> Image:
        try:
            if self._inside:
                check_inside(path, root)
            check_size(check_regular(path).st_size, self._limits)
            data = read_at_most(path, self._limits.max_bytes)
        except (OSError, ValueError) as error:  # ValueError: a null byte in the path
            reason = getattr(error, "strerror", None) or error
            raise RowError("image_missing", f"the file cannot be read: {reason}") from error
        return Image(bytes=data, path=path.name if text is None else _name(text))

    def _decode_data_url(self, text: str) -> bytes:
        head, comma, body = text.partition(",")
        if not comma:
            raise RowError("image_corrupt", "the data URL has no comma")
        if head.lower().endswith(";base64"):
            return self._decode_base64(unquote_to_bytes(body).decode("ascii", "replace"))
        return unquote_to_bytes(body)

    def _decode_base64(self, text: str) -> bytes:
        if text:
            check_size(len(text) * 3 // 4, self._limits)
        try:
            return base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise RowError("image_corrupt", f"the picture is not valid base64: {error}") from error


def _is_absolute(cell: Any) -> bool:
    path = cell.get("path") if isinstance(cell, Mapping) else cell
    return isinstance(path, str) and PurePath(path.strip()).is_absolute()


def _name(cell: Any) -> str | None:
    # An absolute path would carry one machine's folders into every shard.
    path = cell.get("path") if isinstance(cell, Mapping) else cell
    if not isinstance(path, str) or path[:5].lower() == "data:" or len(path) > 1024:
        return None
    if _SCHEME.match(path):
        return path
    return PurePath(path).name if PurePath(path).is_absolute() else path
