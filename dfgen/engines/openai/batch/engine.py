"""Generates by batches: files of requests that a provider answers within a day, at half the price.

Nothing that is out is forgotten: it stands in a ledger before it leaves (`ledger`). Ctrl-C, kill -9
and a lost connection leave the batches running, and the next start takes up what they brought.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Collection, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import EngineInfo, Request, Result
from dfgen.engines.chat import list_images
from dfgen.engines.openai.answers import fail
from dfgen.engines.openai.batch.anthropic_form import AnthropicForm
from dfgen.engines.openai.batch.carrier import Carrier, CutError
from dfgen.engines.openai.batch.form import Form, Seen
from dfgen.engines.openai.batch.gemini_form import GeminiForm
from dfgen.engines.openai.batch.handing_over import HandingOver
from dfgen.engines.openai.batch.ledger import Keeping, Ledger, OutFile, write_custom_id
from dfgen.engines.openai.batch.openai_form import OpenAIForm
from dfgen.engines.openai.batch.providers import find_limits
from dfgen.engines.openai.batch.refusals import (
    refuse_failed,
    refuse_gone,
    refuse_mute,
    refuse_prefix,
)
from dfgen.engines.openai.batch.request_file import (
    RequestFile,
    Row,
    RowWriter,
    drop_schema,
    read_rows,
)
from dfgen.engines.openai.batch.results import Asked, Harvest, describe_stray, is_whole
from dfgen.engines.openai.batch.telling import Telling
from dfgen.engines.openai.classify import Backoff
from dfgen.engines.openai.client_info import describe_client
from dfgen.engines.openai.endpoint import Endpoint, resolve_endpoints
from dfgen.engines.openai.payload import find_max_tokens
from dfgen.errors import ConfigError, EngineError, StorageError

# Results that are yielded, and so journalled and judged, together.
_TOGETHER = 64
_SHOWN = 500
# Of a file of results: more than any model writes, less than what fills a disk.
_MOST_BYTES, _MOST_ROW_BYTES = 64 << 20, 8 << 20
# Batches in a row that end without an answer before the provider is given up.
_MOST_BARREN = 3
# What a provider says of a batch when it has too many tokens in its queue already.
_QUEUE_FULL = ("token_limit_exceeded", "enqueued", "rate_limit", "too_many_batches")


def choose_form(config: OpenAIConfig) -> Form:
    """Return the form that a provider speaks; files for somebody else are in the OpenAI form."""
    if config.lane == "batch" and config.batch.provider == "anthropic":
        return AnthropicForm()
    if config.lane == "batch" and config.batch.provider == "gemini":
        return GeminiForm()
    return OpenAIForm(config.batch)


@dataclass
class _Round:
    """One call of `generate`.

    Attributes:
        source: requests that are still to be taken.
        more: whether there are.
        asked: by custom_id: whose answers are waited for.
        file: that is being filled.
        refused: results of requests that no file can hold.
    """

    source: Iterator[Request]
    more: bool = True
    asked: dict[str, Asked] = field(default_factory=dict)
    file: RequestFile | None = None
    refused: list[Result] = field(default_factory=list)


class BatchEngine:
    """Generates by batches of a provider.

    Args:
        config: of the server; `lane` is batch. The key is read from the environment here.
        keeping: where what is out is kept.
        backoff: waits between tries; by default those of the section.

    Raises:
        EngineError: no usable address, or no key where one is needed.
        ConfigError: several addresses: a batch lies on one server.
    """

    def __init__(
        self, config: OpenAIConfig, keeping: Keeping, backoff: Backoff | None = None
    ) -> None:
        endpoints = resolve_endpoints(config)
        if len(endpoints) > 1:
            raise ConfigError(
                "lane batch needs one base_url: a batch lies on the server that took it.",
                where=f"the openai engine of {config.model}",
            )
        self._config = config
        self._keeping = keeping
        self._endpoint: Endpoint = endpoints[0]
        self._cut = threading.Event()
        self._form = choose_form(config)
        self._carrier = Carrier(
            config,
            self._endpoint,
            backoff or Backoff(max_retries=config.max_retries),
            self._cut,
            self._form.list_headers(self._endpoint),
        )
        self._ledger = Ledger(keeping.log)
        self._handing = HandingOver(config, self._form, self._carrier, self._ledger)
        self._telling = Telling(keeping.tell)
        self._rows = RowWriter()
        self._limits = find_limits(config.batch)
        self._room = config.batch.in_flight
        self._barren = 0
        self._ended: dict[str, Seen] = {}
        self._before = self._ledger.list_cells()
        self._recovered = False

    @property
    def info(self) -> EngineInfo:
        """What made the results, as far as a client can know."""
        return describe_client(
            self._config,
            {
                "base_url": self._endpoint.shown_url,
                "lane": "batch",
                "provider": self._config.batch.provider,
            },
        )

    def list_out(self) -> Collection[str]:
        """List the keys of requests that an earlier start handed over and nobody has taken."""
        return self._before

    def cut_waits(self) -> None:
        """Wait no more and hand nothing over; batches that are out go on without dfgen."""
        self._cut.set()

    def close(self) -> None:
        """Nothing to do: what is out is on record."""

    def generate(self, requests: Iterable[Request]) -> Iterator[list[Result]]:
        """Yield results as batches bring them, some at a time; an empty list before each wait.

        Raises:
            EngineError: the provider refuses, is gone, or nobody can tell what it has taken.
            StorageError: a file of requests cannot be written or read.
        """
        work = _Round(iter(requests))
        try:
            with explain_os_errors(self._keeping.folder):
                self._recover()
                while not self._cut.is_set():
                    self._fill(work)
                    if work.refused:
                        yield work.refused
                        work.refused = []
                    brought = yield from self._collect(work)
                    if not (work.more or work.file or self._waits_for(work)):
                        return
                    if not brought:
                        yield []
                        self._telling.report(self._list_at_work())
                        self._carrier.wait(self._config.batch.poll_s)
        except CutError:
            return
        finally:
            if work.file is not None:
                work.file.discard()

    def _recover(self) -> None:
        """Find out what became of files whose handing over was cut short. Once."""
        if self._recovered:
            return
        self._keeping.folder.mkdir(parents=True, exist_ok=True)
        for out in self._list_batches():
            if out.gone and self._look(out):  # it knows it after all
                self._ledger.write("created", out.key, batch_id=out.batch_id)
            if out.batch_id is None:
                self._handing.adopt(out, self._find_path(out))
        kept = {self._find_path(out) for out in self._list_batches()}
        for path in self._keeping.folder.glob("dfgen-*"):
            if path not in kept:
                path.unlink()
        self._before = self._ledger.list_cells()
        self._recovered = True

    def _find_path(self, out: OutFile) -> Path:
        return self._keeping.folder / out.name

    def _list_batches(self) -> list[OutFile]:
        return [out for out in self._ledger.out.values() if out.lane == "batch"]

    def _waits_for(self, work: _Round) -> bool:
        """Say whether any batch that is out has a row that is asked for."""
        return any(cell in work.asked for out in self._list_batches() for cell in out.cells)

    def _list_at_work(self) -> list[OutFile]:
        return [out for out in self._list_batches() if out.key not in self._ended]

    def _has_room(self) -> bool:
        return len(self._list_at_work()) < self._room

    def _fill(self, work: _Round) -> None:
        """Take requests into files, and hand over each that is full, while there is room."""
        out = self._ledger.list_cells()
        while work.more and self._has_room() and not self._cut.is_set():
            request = next(work.source, None)
            if request is None:
                work.more = False
                break
            name = write_custom_id(request.key)
            work.asked[name] = Asked(
                request.key,
                find_max_tokens(self._config, request),
                sum(1 for _ in list_images(request.messages)),
                schema=request.response_schema is not None,
            )
            if name not in out:
                self._take_request(work, request, name)
        done = not work.more and not self._cut.is_set()
        if done and work.file is not None and self._has_room():
            self._submit(work)

    def _take_request(self, work: _Round, request: Request, name: str) -> None:
        refuse_prefix(request)
        row = self._form.write_row(self._rows, self._config, replace(request, key=name))
        if row.size > self._limits[1]:
            said = f"{row.size:,} bytes in one row; the limit of a file is {self._limits[1]:,}"
            work.refused.append(fail(work.asked.pop(name), "request_too_large", said))
        else:
            self._add(work, row)

    def _add(self, work: _Round, row: Row) -> None:
        if work.file is not None and not work.file.has_room(row):
            self._submit(work)
        if work.file is None:
            name = f"dfgen-filling-{secrets.token_hex(4)}"
            work.file = RequestFile(self._keeping.folder / name, *self._limits)
        work.file.add(row)

    def _submit(self, work: _Round) -> None:
        """Hand a file over; it is on record before it leaves."""
        file, work.file = work.file, None
        assert file is not None
        file.close()
        pictures = sum(work.asked[cell].pictures for cell in file.cells)
        if pictures != file.pictures:
            raise EngineError(
                f"a file of requests holds {file.pictures:,} pictures, and {pictures:,} belong "
                "into it.",
                where=str(file.path),
                hint="This is a fault of dfgen: please report it. The file was not sent.",
            )
        out = self._ledger.intend(file.cells, "batch", file.sha256, file.size, file.pictures)
        file.path.rename(self._find_path(out))
        self._handing.hand_over(out, self._find_path(out))
        self._telling.report(self._list_at_work())

    def _collect(self, work: _Round) -> Generator[list[Result], None, bool]:
        """Yield what ended batches have brought of what is asked; returns whether there were any.

        One whose rows have not all been asked for yet waits until they are, or nothing more is.
        What is not asked now stays out: another call may ask it, such as that of a later round.
        """
        brought = False
        for out in self._list_batches():
            seen = self._find_end(out)
            asked = sum(cell in work.asked for cell in out.cells)
            if seen is None or not asked or (work.more and asked < len(out.cells)):
                continue
            yield from self._take(work, out, seen)
            brought = True
        return brought

    def settle(self) -> None:
        """Put on record what ended batches hold that nobody has asked for, now that nobody will.

        What is still at work stays out.

        Raises:
            EngineError: the provider refuses, or is gone.
            StorageError: results cannot be written or read.
        """
        with explain_os_errors(self._keeping.folder):
            for out in self._list_batches():
                known = out.batch_id is not None and not out.gone
                seen = self._find_end(out) if known else None
                if seen is not None:
                    for _ in self._take(_Round(iter(())), out, seen, last=True):
                        pass

    def _find_end(self, out: OutFile) -> Seen | None:
        """How a batch has ended; None while it is at work."""
        seen = self._ended.get(out.key) or self._look(out)
        if seen.end is None:
            return None
        self._ended[out.key] = seen
        return seen

    def _look(self, out: OutFile) -> Seen:
        assert out.batch_id is not None
        with self._carrier.expect_form():
            seen = self._form.look(self._carrier, out.batch_id)
        if seen is None and time.time() - out.changed < self._config.batch.settle_s:
            return Seen("not listed yet")
        if seen is None:
            self._ledger.write("gone", out.key)
            raise refuse_gone(out, self._config)
        return self._hide(seen)

    def _hide(self, seen: Seen) -> Seen:
        """Take secrets out of what a provider says, and cut it short."""

        def hide(text: str) -> str:
            return self._endpoint.redact(text)[:_SHOWN]

        errors = [replace(e, code=hide(e.code), message=hide(e.message)) for e in seen.errors]
        return replace(seen, status=hide(seen.status), errors=tuple(errors))

    def _take(
        self, work: _Round, out: OutFile, seen: Seen, *, last: bool = False
    ) -> Iterator[list[Result]]:
        """Yield the results of an ended batch, and put into the next what it has left.

        It is closed once nothing of it can be asked any more.

        Args:
            last: whether nobody will ask.
        """
        others = [cell for cell in out.cells if cell not in work.asked]
        harvest = Harvest(
            self._config,
            self._form,
            self._endpoint,
            work.asked,
            dict.fromkeys(out.cells),
            out.taken,
        )
        count = 0
        rows = self._read_failed(harvest, out, seen)
        if seen.end != "failed":
            rows = self._read_results(harvest, out, seen)
        while together := list(islice(rows, _TOGETHER)):
            count += len(together)
            for name, _ in together:
                del work.asked[name]
            yield [result for _, result in together]
        # The caller has written down what it was given, or it would not have come back for more.
        if last:
            self._note_strays(harvest, out)
        # Of one that failed nothing was worked on: what is asked later goes out anew.
        open_ended = others and not last and seen.end != "failed"
        left = set(others).difference(self._keeping.find_answered(others)) if open_ended else set()
        if left:
            taken = [cell for cell in out.cells if cell not in left]
            self._ledger.write("answered", out.key, cells=taken)
        else:
            self._close(out, seen, harvest, count)
        if not last:
            self._judge_provider(out, seen, harvest, count)
            self._send_again(work, out, harvest)
        if not left:
            self._find_path(out).unlink(missing_ok=True)

    def _close(self, out: OutFile, seen: Seen, harvest: Harvest, answered: int) -> None:
        self._ledger.write(
            "closed",
            out.key,
            ended=seen.end,
            answered=answered,
            again=len(harvest.again),
            strays=len(harvest.strays),
            twice=harvest.twice,
            unknown=harvest.unknown,
        )
        del self._ended[out.key]

    def _judge_provider(self, out: OutFile, seen: Seen, harvest: Harvest, answered: int) -> None:
        """Give a provider up that has met an error for good, or answers nothing any more.

        Answers that an earlier start has on record, or a later call will ask for, are answers, too.
        """
        if harvest.ended is not None:
            raise harvest.ended
        if answered or harvest.strays:
            self._barren = 0
        elif not harvest.postponed:
            self._barren += 1
        if self._barren >= _MOST_BARREN:
            raise EngineError(
                f"{self._barren} batches in a row have ended ({seen.status}) without one answer.",
                where=str(out.batch_id),
                hint="Look at the provider's page. The same command sends them again.",
            )

    def _read_results(
        self, harvest: Harvest, out: OutFile, seen: Seen
    ) -> Iterator[tuple[str, Result]]:
        """Yield the rows of all files of a batch, then those that no file says a word about."""
        for number, path in enumerate(seen.results):
            target = self._keeping.folder / f"{out.name}.{number}.results"
            self._download(path, target, len(out.cells))
            yield from harvest.read_file(target)
            target.unlink()
        if seen.end == "completed" and not out.taken and len(harvest.left) == len(out.cells):
            self._ledger.write("mute", out.key)
            raise refuse_mute(out, harvest.unknown, self._config)
        for name in list(harvest.left):
            asked = harvest.asked.get(name)
            if asked is None:
                continue
            asked.failures += seen.end == "completed"
            if asked.failures > self._config.max_retries:
                yield name, fail(asked, "server_error", "no batch said a word about it")
            else:
                harvest.again[name] = False

    def _download(self, path: str, target: Path, rows: int) -> None:
        """Download results, and again while they are cut short or something else than rows."""
        for _ in range(self._config.max_retries + 1):
            self._carrier.download(path, target, _MOST_BYTES + rows * _MOST_ROW_BYTES)
            if is_whole(target):
                return

    def _read_failed(
        self, harvest: Harvest, out: OutFile, seen: Seen
    ) -> Iterator[tuple[str, Result]]:
        """Yield failures for the rows that made a batch fail; the others go out again."""
        lines = {error.line: error for error in seen.errors if error.line is not None}
        bad = {number: lines[number] for number in lines if 0 < number <= len(out.cells)}
        harvest.again = {name: False for name in out.cells if name in harvest.asked}
        if any(mark in error.code for error in seen.errors for mark in _QUEUE_FULL):
            others = len(self._list_batches()) - 1
            if not others:
                harvest.ended = refuse_failed(out, seen.errors, self._config)
            self._room = max(1, others)
            harvest.postponed = True
        elif not bad or (len(bad) == len(out.cells) > 1):
            harvest.ended = refuse_failed(out, seen.errors, self._config)
        else:
            for number, error in bad.items():
                name = out.cells[number - 1]
                if harvest.again.pop(name, None) is not None:
                    said = f"line {number} of the batch file: {error.code} {error.message}"
                    yield name, fail(harvest.asked[name], "bad_request", said.strip())

    def _note_strays(self, harvest: Harvest, out: OutFile) -> None:
        """Put on record what was paid for and is neither asked for nor on record."""
        if harvest.strays:
            known = self._keeping.find_answered([name for name, _ in harvest.strays])
            facts = {"model": self._config.model, "lane": "batch", "batch": out.key}
            price = self._config.price.in_lane("batch")
            found = [
                describe_stray(name, result, facts, price)
                for name, result in harvest.strays
                if name not in known
            ]
            self._ledger.write_strays(found)

    def _send_again(self, work: _Round, out: OutFile, harvest: Harvest) -> None:
        again = {name: work.asked[name].pictures for name in harvest.again if name in work.asked}
        if again:
            for row in read_rows(self._find_path(out), again):
                self._add(work, drop_schema(row) if harvest.again[row.custom_id] else row)


@contextmanager
def explain_os_errors(folder: Path) -> Iterator[None]:
    """Make a failure of the disk one that names the folder."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"files of requests cannot be written or read: {error.strerror or error}.",
            where=str(error.filename or folder),
            hint="Make room or access there; what is out is on record, and the same command goes "
            "on.",
        ) from error
