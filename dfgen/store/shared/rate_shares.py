"""Keeps several workers on one run within the rates of one account: requests and tokens a minute.

One ledger says which part of the account's rates each worker has. The sum never exceeds the whole:
who comes takes what is free and waits for more, and the others, who look every few seconds, come
down to equal parts. No clock of any machine is compared with another one's. Who has no requests for
now gives its part back; that of a dead worker is free when its claims are.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from dfgen.errors import StorageError
from dfgen.store.shared.crew import Crew

FOLDER = "rates"
LOOK_S = 2.0
"""Seconds between two looks at the ledger."""


class RateShare:
    """The part of one worker.

    Args:
        crew: of the run; nobody else uses this object.
        token: of the worker.
        account: whose rates they are, in letters and digits.
    """

    def __init__(self, crew: Crew, token: str, account: str) -> None:
        self._crew = crew
        self._name = f"{FOLDER}/{account}"
        # One worker may ask an account for two stages at once.
        self._own = f"{token} {secrets.token_hex(4)}"
        self.part = 0.0
        """Of the account's rates, from 0 to 1; as it was at the last look."""

    @contextmanager
    def hold(self) -> Iterator[Callable[[], float]]:
        """Have a part for the time of a block; gives what says how large it is now.

        Raises:
            StorageError: the shared files cannot be read or written.
        """
        self.look()
        ended = threading.Event()
        thread = threading.Thread(target=self._keep_looking, args=(ended,), name="dfgen-rates")
        thread.daemon = True
        thread.start()
        try:
            yield lambda: self.part
        finally:
            ended.set()
            thread.join()
            with suppress(StorageError):  # if not now, when this worker is given up
                self.give_back()

    def look(self) -> None:
        """Come to an equal part, as far as the others have left it free. Raises `StorageError`."""

        def change(parts: dict[str, float]) -> dict[str, float]:
            others = {name: part for name, part in parts.items() if name != self._own}
            living = {name: part for name, part in others.items() if not self._is_gone(name)}
            fair = 1 / (len(living) + 1)
            return {**living, self._own: max(0.0, min(fair, 1.0 - sum(living.values())))}

        self.part = self._change(change)[self._own]

    def give_back(self) -> None:
        """Have no part any more. Raises `StorageError`."""
        self.part = 0.0
        self._change(lambda parts: {n: part for n, part in parts.items() if n != self._own})

    def _keep_looking(self, ended: threading.Event) -> None:
        while not ended.wait(LOOK_S):
            # A disk that does not answer may be there again; until then the part stays as it is.
            with suppress(StorageError):
                self.look()

    def _is_gone(self, name: str) -> bool:
        return self._crew.is_gone(name.partition(" ")[0])

    def _change(self, change: Callable[[dict[str, float]], dict[str, float]]) -> dict[str, float]:
        files = self._crew.files
        while True:
            found = files.read(self._name)
            parts: dict[str, float] = {} if found is None else _parse(found[0])
            changed = change(parts)
            if changed == parts:
                return changed
            data = json.dumps(changed).encode()
            if found is None:
                version = files.create(self._name, data)
            else:
                version = files.replace(self._name, data, found[1])
            if version is not None:
                return changed


def _parse(data: bytes) -> dict[str, float]:
    """Read a ledger; a damaged one is begun anew, and after a look all stand in it again."""
    try:
        found: Any = json.loads(data)
        parts = {str(name): float(part) for name, part in found.items()}
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}
    return parts if all(0 <= part <= 1 for part in parts.values()) else {}
