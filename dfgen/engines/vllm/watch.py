"""Notices that vLLM's engine process has died without a word, killed for its memory for instance.

vLLM's synchronous client (0.30 to 0.33) marks the engine as dead then, but does not wake the thread
that waits for its next output, which would wait for ever.
"""

from __future__ import annotations

import threading
from typing import Any

_INTERVAL_S = 0.5


class DeathWatch:
    """Wakes the thread in `LLMEngine.step` when the engine process is gone.

    An engine in this process has nothing to watch.

    Args:
        core: the engine's client, `LLMEngine.engine_core`.
    """

    def __init__(self, core: Any) -> None:
        self._resources = getattr(core, "resources", None)
        self._queue = getattr(core, "outputs_queue", None)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        if hasattr(self._resources, "engine_dead") and hasattr(self._queue, "put_nowait"):
            self._thread = threading.Thread(
                target=self._watch, name="dfgen-vllm-watch", daemon=True
            )
            self._thread.start()

    def end(self) -> None:
        """Stop watching: the engine is about to be ended on purpose."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        assert self._resources is not None and self._queue is not None
        while not self._ended.wait(_INTERVAL_S):
            if self._resources.engine_dead:
                error = RuntimeError("the engine's process has ended unexpectedly")
                self._queue.put_nowait(error)
                return
