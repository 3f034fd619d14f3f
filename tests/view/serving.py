"""A server of `dfgen view` for tests, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dfgen.view.marks_file import MarksFile
from dfgen.view.server import Viewer
from dfgen.view.viewed_run import ViewedRun


@contextmanager
def serve(marks: Path, *roots: Path, judge: str = "ada") -> Iterator[str]:
    """Serve runs; gives the address of the first one's page."""
    viewer = Viewer([ViewedRun(root) for root in roots], MarksFile(marks), judge)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runner, address = asyncio.run_coroutine_threadsafe(viewer.start(0), loop).result()
    try:
        yield f"{address}0/"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
