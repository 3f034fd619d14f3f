"""Generates by files that somebody else answers: written in one start, read in a later one.

A file holds requests as a batch of the OpenAI form does, so `vllm run-batch`, SGLang, or any
provider's own tool answers it. Answers come back in any order, in part, in several files, twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from dfgen.bounded_reads import iter_lines
from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import EngineInfo, Request, Result
from dfgen.engines.openai.batch.engine import choose_form, explain_os_errors
from dfgen.engines.openai.batch.exchange import Exchange
from dfgen.engines.openai.batch.ledger import Keeping, Ledger, write_custom_id
from dfgen.engines.openai.batch.providers import find_limits
from dfgen.engines.openai.batch.refusals import refuse_prefix
from dfgen.engines.openai.batch.request_file import RequestFile, RowWriter
from dfgen.engines.openai.batch.results import Asked, Harvest
from dfgen.engines.openai.client_info import describe_client
from dfgen.engines.openai.endpoint import Endpoint
from dfgen.engines.openai.payload import find_max_tokens
from dfgen.engines.openai.transport import LARGEST_ANSWER
from dfgen.errors import InputError
from dfgen.regular_files import check_regular

_TOGETHER = 64
_NAME = "requests-{:05d}.jsonl"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a row of results stands."""

    file: int
    offset: int
    good: bool


class FilesEngine:
    """Generates by files that somebody else answers.

    Args:
        config: of the server that is meant; nothing is sent to it.
        keeping: where what is out is kept, and which files they are.
    """

    def __init__(self, config: OpenAIConfig, keeping: Keeping) -> None:
        self._config = config
        self._ledger = Ledger(keeping.log)
        self._form = choose_form(config)
        self._before = self._ledger.list_cells()
        self._found: dict[str, _Place] | None = None
        self._paths: list[Path] = []
        self._rows = RowWriter()
        self.exchange = keeping.exchange or Exchange()

    @property
    def info(self) -> EngineInfo:
        """What made the results, as far as files can tell."""
        return describe_client(self._config, {"lane": "files"})

    def list_out(self) -> Collection[str]:
        """List the keys of requests that were written down and have not been answered."""
        return self._before

    def settle(self) -> None:
        """Nothing to do: what nobody asked for stays in its file."""

    def close(self) -> None:
        """Nothing to do."""

    def generate(self, requests: Iterable[Request]) -> Iterator[list[Result]]:
        """Yield results of requests that the files answer; write down those that they do not.

        A row that says that its request may succeed another time is no answer.

        Raises:
            InputError: a file cannot be read, or the folder to write to holds files already.
            StorageError: a file cannot be written.
        """
        if self._found is None:
            self._found = self._index_results()
        answered: list[Result] = []
        open_file: RequestFile | None = None
        files: list[RequestFile] = []
        for request in requests:
            refuse_prefix(request)
            result = self._read_result(request)
            if result is not None:
                answered.append(result)
                if len(answered) == _TOGETHER:
                    yield answered
                    self._note_answered(answered)
                    answered = []
            elif self.exchange.write is not None:
                with explain_os_errors(self.exchange.write):
                    open_file = self._write(request, open_file, files)
        if answered:
            yield answered
            self._note_answered(answered)
        if files:
            self._finish(files)

    def _index_results(self) -> dict[str, _Place]:
        """Find the best row for each name: an answer before an error, the first before others."""
        found: dict[str, _Place] = {}
        for path in self.exchange.read:
            self._paths += sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
        if self.exchange.read and not self._paths:
            raise InputError(
                "there is no file of results (*.jsonl).",
                where=", ".join(map(str, self.exchange.read)),
            )
        for number, path in enumerate(self._paths):
            try:
                self._index_file(found, number, path)
            except OSError as error:
                raise InputError(f"cannot be read: {error.strerror}.", where=str(path)) from None
        return found

    def _index_file(self, found: dict[str, _Place], number: int, path: Path) -> None:
        check_regular(path)
        with path.open("rb") as file:
            offset = 0
            for at, line in enumerate(iter_lines(file, LARGEST_ANSWER, str(path)), 1):
                row = None if line is None else self._form.read_row(line)
                if row is not None:
                    good = row.status is not None and 200 <= row.status < 300
                    known = found.get(row.custom_id)
                    if known is None or (good and not known.good):
                        found[row.custom_id] = _Place(number, offset, good)
                elif line is None or line.strip():
                    self.exchange.unread += 1
                    self.exchange.unread_at = self.exchange.unread_at or f"{path}:{at}"
                offset = file.tell()

    def _read_result(self, request: Request) -> Result | None:
        assert self._found is not None
        name = write_custom_id(request.key)
        place = self._found.get(name)
        if place is None:
            return None
        # No tries are counted here: who gives the file may give another.
        config = self._config.model_copy(update={"max_retries": 1 << 30})
        asked = Asked(request.key, find_max_tokens(config, request), 0, schema=False)
        harvest = Harvest(config, self._form, Endpoint("", ""), {name: asked}, {name: None})
        rows = list(harvest.read_row(self._paths[place.file], place.offset))
        return rows[0][1] if rows else None

    def _write(
        self, request: Request, file: RequestFile | None, files: list[RequestFile]
    ) -> RequestFile | None:
        assert self.exchange.write is not None
        name = write_custom_id(request.key)
        row = self._form.write_row(self._rows, self._config, replace(request, key=name))
        if file is None or not file.has_room(row):
            number = len(self.exchange.written) + len(files) + 1
            self.exchange.write.mkdir(parents=True, exist_ok=True)
            path = self.exchange.write / _NAME.format(number)
            if path.exists():
                raise InputError(
                    "the folder holds files of requests already.",
                    where=str(path),
                    hint="Give an empty folder, or remove them: all that is not answered yet is "
                    "written again.",
                )
            if file is not None:
                file.close()
            file = RequestFile(path, *find_limits(self._config.batch))
            files.append(file)
        file.add(row)
        return file

    def _finish(self, files: list[RequestFile]) -> None:
        """Put on record what is out now, in the place of what was written before."""
        files[-1].close()
        fresh = {cell for file in files for cell in file.cells}
        for out in list(self._ledger.out.values()):
            again = [cell for cell in out.cells if cell in fresh]
            if out.lane == "files" and again:
                self._ledger.write("answered", out.key, cells=again)
        for file in files:
            self._ledger.intend(file.cells, "files", file.sha256, file.size, file.pictures)
            self.exchange.written.append((file.path, len(file.cells)))

    def _note_answered(self, results: list[Result]) -> None:
        names = {write_custom_id(result.key) for result in results}
        for out in list(self._ledger.out.values()):
            cells = [cell for cell in out.cells if cell in names]
            if cells:
                self._ledger.write("answered", out.key, cells=cells)
