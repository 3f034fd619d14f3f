"""Defines what the engine asks of a provider's batch form: words for the same few things."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from dfgen.config.batch import BatchConfig
from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import Request
from dfgen.engines.openai.batch.carrier import Carrier
from dfgen.engines.openai.batch.ledger import OutFile
from dfgen.engines.openai.batch.providers import Provider
from dfgen.engines.openai.batch.request_file import Row, RowWriter
from dfgen.engines.openai.endpoint import Endpoint
from dfgen.engines.openai.transport import Answer

End = Literal["completed", "failed", "expired", "cancelled"]
"""How a batch ends; `failed` means that nothing of it was worked on."""


@dataclass(frozen=True, slots=True)
class LineError:
    """What is wrong with a file: `line` counts from 1, None: no line of its own."""

    line: int | None
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Seen:
    """How a batch stands.

    Attributes:
        status: in the provider's words.
        end: None while it is at work.
        results: paths of the files with its results, below the base URL.
        errors: why it failed.
    """

    status: str
    end: End | None = None
    results: tuple[str, ...] = ()
    errors: tuple[LineError, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """A row of a file of results.

    Attributes:
        custom_id: of the request.
        status: as of an HTTP answer; None: it was not worked on (`code` says why).
        body: of a chat completion, in the OpenAI form; of an error, whatever there is.
        code: of an error beside the answer, such as `batch_expired`.
    """

    custom_id: str
    status: int | None
    body: dict[str, Any]
    code: str = ""

    @property
    def was_cut(self) -> bool:
        """Whether its batch ended before it was its turn."""
        return self.status is None and self.code in ("batch_expired", "batch_cancelled")


def read_custom_id(value: Any) -> str:
    """Read the name of a request in a row of results. Raises `ValueError` if it is none."""
    if not isinstance(value, str):
        raise ValueError(f"{type(value).__name__} is no custom_id")
    return value


def read_status(value: Any) -> str:
    """Read how a batch stands. Raises `ValueError` if that is no word."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{repr(value)[:80]} is no status of a batch")
    return value


def convert(read: Callable[[Any], dict[str, Any]], message: Any) -> dict[str, Any]:
    """Read an answer in a provider's form; one that is in no such form stays as it is.

    It was made and is paid for, so it counts as an answer, a bad one, and is not asked for again.
    """
    try:
        return read(message)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError):
        return {"unreadable": message}


def sum_counts(counts: Iterable[Any]) -> int | None:
    """Add counts of tokens, leaving out what is none; None if there is none at all."""
    found = [count for count in counts if type(count) is int]
    return sum(found) if found else None


class Form(Protocol):
    """A provider's form."""

    rules: Provider

    def list_headers(self, endpoint: Endpoint) -> dict[str, str]:
        """List headers of every request beside the usual ones; empty values take those away."""

    def write_row(self, writer: RowWriter, config: OpenAIConfig, request: Request) -> Row:
        """Write a request as a row."""

    def create(
        self, carrier: Carrier, path: Path, out: OutFile, model: str, config: BatchConfig
    ) -> Answer:
        """Make a batch of a file, of the uploaded one where files are uploaded."""

    def read_batch_id(self, body: Mapping[str, Any]) -> str:
        """Read the id of a batch that was made."""

    def look(self, carrier: Carrier, batch_id: str) -> Seen | None:
        """Look how a batch stands; None: the provider does not know it."""

    def read_row(self, line: bytes) -> Answered | None:
        """Read a row of results; None: it is none."""


@runtime_checkable
class FileForm(Form, Protocol):
    """The form of a provider to which files are uploaded first, and which can list what it has."""

    def upload(self, carrier: Carrier, path: Path, out: OutFile) -> Answer:
        """Upload a file."""

    def read_file_id(self, body: Mapping[str, Any]) -> str:
        """Read the id of an uploaded file."""

    def find_file(self, carrier: Carrier, out: OutFile) -> str | None:
        """Find the id of a whole file by its name."""

    def find_batch(self, carrier: Carrier, out: OutFile) -> str | None:
        """Find the id of a batch by its tag, or by its file."""


def is_whole_upload(noted: object, out: OutFile) -> bool:
    """Say whether a file that a provider lists has the size that was sent, as far as it says.

    An upload that broke off with its sender may be kept under its name.
    """
    digits = str(noted)
    return not out.size or not digits.isdecimal() or int(digits) == out.size
