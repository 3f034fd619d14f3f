"""Reads what came back of a batch: which requests are answered, which go out again, which fail."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dfgen.bounded_reads import iter_lines
from dfgen.config.engine import OpenAIConfig, Price
from dfgen.engines.base import Result
from dfgen.engines.openai.answers import (
    BadAnswerError,
    fail,
    read_completion,
    read_spent,
)
from dfgen.engines.openai.batch.form import Answered, Form
from dfgen.engines.openai.classify import classify_answer, refuses_schema
from dfgen.engines.openai.endpoint import Endpoint
from dfgen.engines.openai.session import hide_key
from dfgen.engines.openai.transport import LARGEST_ANSWER, Answer
from dfgen.errors import EngineError

_SHOWN = 300


@dataclass(slots=True)
class Asked:
    """A request whose answer is waited for.

    Attributes:
        key: of the request.
        max_tokens: that it may write; None: nobody knows.
        pictures: that stand in it.
        schema: whether it asks for output by JSON schema.
        failures: answers so far that were none and may be better next time.
    """

    key: str
    max_tokens: int | None
    pictures: int
    schema: bool
    failures: int = 0


@dataclass
class Harvest:
    """What is learned from the results of a batch, row by row.

    Attributes:
        asked: by custom_id: whose answers are wanted.
        left: rows that no result was read of, as keys in order.
        taken: rows whose results were read before; what is said of them is passed over.
        again: rows that go out again; the value says whether without their schema.
        strays: results of rows that nobody asks for, without their texts.
        twice, unknown: rows that came more than once, or were never in the batch.
        ended: an error after which no request can succeed; rows that met it go out again.
        postponed: whether the provider had no place for the batch.
    """

    config: OpenAIConfig
    form: Form
    endpoint: Endpoint
    asked: dict[str, Asked]
    left: dict[str, None]
    taken: Collection[str] = ()
    again: dict[str, bool] = field(default_factory=dict)
    strays: list[tuple[str, Result]] = field(default_factory=list)
    twice: int = 0
    unknown: int = 0
    ended: EngineError | None = None
    postponed: bool = False

    def read_file(self, path: Path) -> Iterator[tuple[str, Result]]:
        """Yield the results of a file that are answers, with their custom_id.

        Raises:
            OSError: it cannot be read.
        """
        known = set(self.left)
        with path.open("rb") as file:
            for line in iter_lines(file, LARGEST_ANSWER, str(path)):
                if line is not None and not line.strip():
                    continue
                row = None if line is None else self.form.read_row(line)
                if row is not None and row.custom_id in self.taken:
                    continue
                if row is None or row.custom_id not in known:
                    seen = row is not None and row.custom_id in self.asked
                    self.twice, self.unknown = self.twice + seen, self.unknown + (not seen)
                elif row.custom_id not in self.left:
                    self.twice += 1
                else:
                    del self.left[row.custom_id]
                    yield from self._read(row)

    def read_row(self, path: Path, offset: int) -> Iterator[tuple[str, Result]]:
        """Yield the result of one row of a file, if it is one. Raises `OSError`."""
        with path.open("rb") as file:
            file.seek(offset)
            row = self.form.read_row(file.readline(LARGEST_ANSWER))
        if row is not None:
            yield from self._read(row)

    def _read(self, row: Answered) -> Iterator[tuple[str, Result]]:
        asked = self.asked.get(row.custom_id)
        if asked is None:
            stray = Asked(row.custom_id, None, 0, schema=False)
            if (result := self._judge(row, stray)) is not None:
                bare = replace(result, text="", token_ids=None, logprobs=None, reasoning="")
                self.strays.append((row.custom_id, bare))
            return
        result = self._judge(row, asked)
        if result is not None:
            yield row.custom_id, result

    def _judge(self, row: Answered, asked: Asked) -> Result | None:
        """Make a result of a row; None: it goes out again."""
        if row.was_cut:
            self.again[row.custom_id] = False
            return None
        if row.status is not None and 200 <= row.status < 300:
            return self._accept(row, asked)
        answer = Answer(row.status or 500, {}, json.dumps(row.body).encode())
        try:
            fault = classify_answer(answer, self.endpoint, self.config.model)
        except EngineError as error:
            self.ended = error
            self.again[row.custom_id] = False
            return None
        if asked.schema and refuses_schema(fault):
            asked.schema = False
            self.again[row.custom_id] = True
            return None
        if fault.retry and asked.failures < self.config.max_retries:
            asked.failures += 1
            self.again[row.custom_id] = False
            return None
        return fail(asked, fault.reason, fault.detail, read_spent(answer.body))

    def _accept(self, row: Answered, asked: Asked) -> Result:
        try:
            result = read_completion(asked, row.body, asked.max_tokens)
        except BadAnswerError as error:
            detail = self.endpoint.redact(str(error))[:_SHOWN]
            spent = read_spent(json.dumps(row.body).encode())
            return fail(asked, "bad_response", detail, spent)
        hidden = hide_key(result, self.endpoint)
        if hidden != result and result.token_ids is not None:
            return fail(asked, "bad_response", "the answer held the API key", result.usage)
        if hidden.failure is not None:
            said = self.endpoint.redact(hidden.failure.detail)[:_SHOWN]
            return fail(asked, hidden.failure.reason, said, hidden.usage)
        return hidden


def is_whole(path: Path) -> bool:
    """Say whether a file begins and ends with rows of JSON: not cut short, and no page for people.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        first = file.readline(LARGEST_ANSWER)
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - LARGEST_ANSWER))
        last = file.read().rstrip().rpartition(b"\n")[2]
    return _is_object(first) and _is_object(last)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def describe_stray(
    custom_id: str, result: Result, facts: dict[str, Any], price: Price
) -> dict[str, Any]:
    """Write down what an answer took that nobody asks for any more."""
    usage = result.usage
    return {
        "custom_id": custom_id,
        "reason": None if result.failure is None else result.failure.reason,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
        "cost_usd": price.count(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens),
        **facts,
    }
