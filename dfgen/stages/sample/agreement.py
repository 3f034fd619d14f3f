"""Compares the text of a server with its token ids, under the tokenizer that masks are made with.

The ids are what is kept; their text is what is graded and masked. Ids of another vocabulary decode
to something, too, and nothing else would show it. A row whose text and ids differ is a reject. If
the first few rows all differ, it is the tokenizer, and the run ends before more is paid for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from dfgen.engines.base import Result
from dfgen.errors import ConfigError, RowError

if TYPE_CHECKING:
    from dfgen.tokens.tokenizer import TextTokenizer

MISMATCH = "ids_mismatch"
_DIFFERING = (MISMATCH, "token_out_of_vocabulary")
_SEVERAL = 4
"""Rows that differ before any agrees until the tokenizer is taken to be the wrong one."""
_SHOWN = 80
_THOUGHT_ENDS = "</think>"


class Drawn(Protocol):
    """The part of a draw that is looked at; `reason` is set where it failed."""

    reason: str | None
    detail: str | None


D = TypeVar("D", bound=Drawn)


class Agreement(Generic[D]):
    """Looks at what a server says, row by row, and holds back what may be the tokenizer's fault.

    Args:
        tokenizer: of the policy.
        model: name of the model on the server, for messages.
    """

    def __init__(self, tokenizer: TextTokenizer, model: str):
        self._tokenizer = tokenizer
        self._model = model
        self._has_agreed = False
        self._held: list[D] = []

    def find_difference(self, result: Result, *, stops: bool) -> RowError | None:
        """See the function of that name; notes a result that agrees."""
        flaw = find_difference(result, self._tokenizer, stops=stops)
        self._has_agreed = self._has_agreed or flaw is None
        return flaw

    def sift(self, draws: Sequence[D]) -> list[D]:
        """Hold back draws that differ until one agrees: they are no rejects if all are so.

        Raises:
            ConfigError: names `policy.tokenizer`.
        """
        if self._has_agreed:
            return [*self.release(), *draws]
        self._held += [draw for draw in draws if draw.reason in _DIFFERING]
        if len(self._held) >= _SEVERAL:
            raise ConfigError(
                f"the first {len(self._held)} answers of the server all differ from their own "
                f"token ids as {self._tokenizer.name} reads them. Of the first, "
                f"{self._held[0].detail}",
                where="policy.tokenizer",
                hint=f"Name the tokenizer of the model that is served as {self._model!r} "
                "(directory or Hub id), and start a new run.",
            )
        return [draw for draw in draws if draw.reason not in _DIFFERING]

    def release(self) -> list[D]:
        """Return the rejects that are held back; at the end, too few to judge the tokenizer by."""
        held, self._held = self._held, []
        return held


def find_difference(result: Result, tokenizer: TextTokenizer, *, stops: bool) -> RowError | None:
    """Say how a server's text differs from its ids; None if both are the same answer.

    Special tokens, white space and broken characters do not count: servers strip the first two and
    hold back the last at a cut. A stop string is in the ids and not in the text. What the server
    has set apart as reasoning is in the ids, too.
    """
    assert result.token_ids is not None
    try:
        said = tokenizer.decode(result.token_ids)
    except RowError as error:
        return error
    if said == result.text:
        return None
    ids, text = _squash(said, tokenizer), _squash(result.text, tokenizer)
    thought = _squash(result.reasoning, tokenizer)
    if ids == text or ids.rpartition(_THOUGHT_ENDS)[2] == text:
        return None
    may_be_cut = stops or result.stop_reason is not None or result.finish_reason == "content_filter"
    if thought and thought in ids:
        ids = ids.partition(thought)[2]
        if ids.endswith(text) or (may_be_cut and text in ids):
            return None
    if may_be_cut and ids.startswith(text):
        return None
    return RowError(
        MISMATCH,
        f"its text is {_shorten(result.text)}, and its {len(result.token_ids)} token ids read "
        f"{_shorten(said)}.",
    )


def _squash(text: str, tokenizer: TextTokenizer) -> str:
    for token in tokenizer.control_tokens:
        if token and token in text:
            text = text.replace(token, "")
    return "".join(text.replace("\ufffd", "").split())


def _shorten(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
