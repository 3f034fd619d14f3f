"""What a stage works with besides the run directory: an engine, and processes that grade."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from dfgen.config.engine import EngineConfig
from dfgen.config.grade import GradeConfig
from dfgen.engines.base import Engine

if TYPE_CHECKING:
    from dfgen.grade.pool import GradePool


@contextmanager
def open_engine(config: EngineConfig) -> Iterator[Engine]:
    """Load an engine and close it again."""
    from dfgen.engines.loading import load_engine

    with closing(load_engine(config)) as engine:
        yield engine


@contextmanager
def open_graders(config: GradeConfig) -> Iterator[GradePool]:
    """Worker processes for graders that can hang."""
    from dfgen.grade.pool import GradePool

    with GradePool(config) as pool:
        yield pool
