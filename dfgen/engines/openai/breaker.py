"""When the server counts as gone: the end of the run, before every row becomes a reject."""

from __future__ import annotations

from dfgen.errors import EngineError

_SEVERAL = 4


class Breaker:
    """Ends the run when nothing succeeds any more, before every row becomes a reject.

    Args:
        shown_url: the address or addresses, for messages.
        tolerance: tries in a row, over all requests, that may fail without one success. They must
            be of several requests: a few rows that a server cannot take do not mean it is gone.
    """

    def __init__(self, shown_url: str, tolerance: int):
        self._shown_url = shown_url
        self._tolerance = tolerance
        self._failures = 0
        self._failed: set[str] = set()
        self._answered = False

    def note_success(self) -> None:
        """A completion came back."""
        self._answered = True
        self._failures = 0
        self._failed.clear()

    def note_failure(self, key: str, *, answered: bool) -> None:
        """A try of a request failed; `answered` if at least the server said so."""
        self._answered = self._answered or answered
        self._failures += 1
        if len(self._failed) < _SEVERAL:
            self._failed.add(key)

    def check_refused(self, detail: str) -> None:
        """Stop at once where nothing listens and never has since the start.

        Raises:
            EngineError: no answer of any kind has come from this address.
        """
        if not self._answered:
            raise EngineError(
                f"no server answers at {self._shown_url}: {detail}",
                hint="Check `base_url` and that the server is up, then start the same command "
                "again; what is finished is kept.",
            )

    def check_given_up(self, detail: str) -> None:
        """Decide about a request that has used up its tries: this row, or the run?

        Raises:
            EngineError: the server has never answered, or too many tries in a row have failed.
        """
        self.check_refused(detail)
        if self._failures >= self._tolerance and len(self._failed) >= _SEVERAL:
            raise EngineError(
                f"the server at {self._shown_url} has failed {self._failures} times in "
                f"a row; the last time: {detail}",
                hint="What is finished is kept. Start the same command again when the server "
                "works, or check `model` and `extra_body` if it refuses every request.",
            )
