"""Names Arrow types narrower than those that Python's own stand for, for the fields of records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True, slots=True)
class Arrow:
    """Marks an annotation with the name of its Arrow type (`int8`, `float32`, ...)."""

    name: str


Int8 = Annotated[int, Arrow("int8")]
Int16 = Annotated[int, Arrow("int16")]
Int32 = Annotated[int, Arrow("int32")]
Int64 = Annotated[int, Arrow("int64")]
Float32 = Annotated[float, Arrow("float32")]
