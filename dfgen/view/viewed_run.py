"""Answers what the page asks about one run; a run that is at work is read as far as it is."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfgen.errors import DfgenError
from dfgen.report.html import describe_run
from dfgen.report.page_data import describe_details, describe_prompt
from dfgen.report.samples import PROMPT_COLUMNS, Sample, gather_shard
from dfgen.report.sent import SentTexts
from dfgen.report.stats import collect_numbers
from dfgen.report.thumbnails import EXACT_SIDE, LARGEST_AREA, LARGEST_SIDE, make_thumbnail
from dfgen.report.view import build_view
from dfgen.store.finished import FinishedRun, open_finished
from dfgen.store.layout import MANIFEST
from dfgen.store.prompt_finder import PromptFinder
from dfgen.view.index import index_shard
from dfgen.view.searching import find_words, read_texts

if TYPE_CHECKING:
    import pyarrow as pa

SMALL_BYTES = 60_000
WHOLE_BYTES, WHOLE_AREA, WHOLE_SIDE = 8_000_000, 40_000_000, 12_000
"""Of a picture at full size: what a browser takes without complaint."""

MOST_TEXT_BYTES = 1 << 30
"""Of texts kept in memory for searches; those of further shards are read again each time."""
SEARCHED_BYTES = 256 * 1024 * 1024
"""Of texts searched at once: many small calls would wait for other threads between each two."""

_TABLES = ("masks", "trajectories", "repairs", "prompts")


@dataclass(frozen=True)
class _Numbers:
    """Figures, what they are of, how long counting took and when it was done."""

    stamp: str
    values: dict[str, Any]
    seconds: float
    at: float

    def is_due(self) -> bool:
        return time.monotonic() - self.at >= 9 * self.seconds


class ViewedRun:
    """A run as the page sees it. Methods may be called from several threads.

    Attributes:
        root: the run directory.
        curves: learning curves to show beside its figures, as `dfgen.report.curves` reads them.
    """

    def __init__(self, root: Path, curves: list[dict[str, Any]] | None = None) -> None:
        self.root = root
        self.curves = curves
        self._lock = threading.Lock()
        self._finished = open_finished(root)
        self._parts: dict[int, tuple[str, bytes]] = {}
        self._sizes: dict[int, tuple[str, int]] = {}
        self._texts: dict[int, tuple[str, pa.Array]] = {}
        self._reading = threading.Lock()
        self._counting = threading.Lock()
        self._numbers: _Numbers | None = None

    def prepare(self) -> None:
        """Read what a page asks for first, while its browser is still on the way.

        What cannot be read is told when it is asked for.
        """
        with suppress(DfgenError):
            for shard in self._finished.run.table("masks").shards()[:1]:
                first = json.loads(self.read_part(shard))["rows"].get("id", ())[:1]
                for trajectory_id in first:
                    self.read_row(shard, trajectory_id)

    @property
    def finished(self) -> FinishedRun:
        """The run as it was when last looked at."""
        return self._finished

    def refuse_absent(self) -> None:
        """Make sure that the run is still where it was: one that is gone has no rows, either.

        Raises:
            StorageError: it has been moved or deleted.
        """
        if not os.path.exists(self.root / MANIFEST):  # noqa: PTH110 - of a closed folder, too
            open_finished(self.root)

    def describe(self) -> dict[str, Any]:
        """Describe the run for the top of the page."""
        total = self.count_rows()
        return describe_run(self._finished, total, total)

    def list_parts(self) -> dict[int, str]:
        """Return shard -> stamp of every shard with masks; another stamp means other rows."""
        return {shard: self._stamp(shard) for shard in self._finished.run.table("masks").shards()}

    def describe_progress(self) -> dict[str, int]:
        """Count the shards of each table: how far a run is that is at work."""
        return {name: len(self._finished.run.table(name).shards()) for name in _TABLES}

    def count_rows(self) -> int:
        """Count the trajectories with masks, from footers that are read once."""
        table = self._finished.run.table("masks")
        total = 0
        for shard, stamp in self.list_parts().items():
            known = self._sizes.get(shard)
            if known is None or known[0] != stamp:
                known = self._sizes[shard] = (stamp, table.num_rows(shard))
            total += known[1]
        return total

    def read_part(self, shard: int) -> bytes:
        """Return the index of a shard as JSON (`index_shard`), with its `stamp`.

        Raises:
            KeyError: there is no such shard.
            StorageError: it cannot be read.
        """
        if not self._finished.run.table("masks").exists(shard):
            raise KeyError(shard)
        stamp = self._stamp(shard)
        kept = self._parts.get(shard)
        if kept is None or kept[0] != stamp:
            with self._lock:  # the index of one shard at a time: it is Python at work
                part = {"stamp": stamp, **index_shard(self._reopen(), shard)}
                kept = (stamp, _encode(part))
                self._parts[shard] = kept
        return kept[1]

    def find_part(self, trajectory_id: str) -> int | None:
        """Return the shard of a trajectory; None if the run has no mask of it."""
        table = self._finished.run.table("masks")
        for shard in table.shards():
            if trajectory_id in set(
                table.read(shard, ["trajectory_id"])["trajectory_id"].to_pylist()
            ):
                return shard
        return None

    def read_row(self, shard: int, trajectory_id: str) -> bytes | None:
        """Return a trajectory in full and its question, as JSON; None if it is not there."""
        sample = self._gather(shard, trajectory_id)
        if sample is None:
            return None
        prompt = describe_prompt(sample)
        prompt["pictures"] = [_describe_picture(image) for image in sample.prompt.get("images", ())]
        sent = SentTexts(self._finished).describe(sample)
        details = describe_details(sample, build_view(sample.mask), sent)
        return _encode({"details": details, "prompt": prompt})

    def read_picture(
        self, shard: int, prompt_id: str, number: int, *, whole: bool = False
    ) -> str | None:
        """Return a picture of a question as a data URL; None where there is none to show."""
        finder = PromptFinder(self._finished.prompts)
        rows = finder.find([prompt_id], shard, ["prompt_id", "images"]).to_pylist()
        if not rows or not 0 <= number < len(rows[0]["images"]):
            return None
        data = rows[0]["images"][number]["bytes"]
        sizes = (WHOLE_BYTES, WHOLE_AREA, WHOLE_SIDE) if whole else _SMALL
        picture = make_thumbnail(data, *sizes)
        return None if picture is None else picture.url

    def search(self, text: str) -> dict[int, list[int]]:
        """Find the rows that hold every word: shard -> places in it."""
        words = text.lower().split()
        found: dict[int, list[int]] = {}
        group: dict[int, pa.Array] = {}
        size = 0
        for shard, stamp in self.list_parts().items():
            group[shard] = self._read_texts(shard, stamp)
            size += group[shard].nbytes
            if size > SEARCHED_BYTES:
                found |= find_words(group, words)
                group, size = {}, 0
        return found | find_words(group, words)

    def read_numbers(self) -> dict[str, Any]:
        """Count the figures of the overview, again only after something has changed.

        Of a run that is at work they are counted again and again, so that counting takes a tenth
        of the time at most; `stale` says that they are not of the newest rows.
        """
        with self._counting:
            stamp = _digest(sorted(self.list_parts().items()))
            if self._numbers is None or (self._numbers.is_due() and self._numbers.stamp != stamp):
                started = time.monotonic()
                found = collect_numbers(self._reopen())
                seconds = time.monotonic() - started
                values = {name: value for name, value in found.items() if name != "run"}
                if self.curves:
                    values["curves"] = self.curves
                self._numbers = _Numbers(stamp, values, seconds, time.monotonic())
            return {**self._numbers.values, "stale": self._numbers.stamp != stamp}

    def _read_texts(self, shard: int, stamp: str) -> pa.Array:
        """The texts of a shard as `read_texts` gives them, kept while there is room for them."""
        kept = self._texts.get(shard)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        with self._reading:
            texts = read_texts(self._finished, shard)
            self._texts.pop(shard, None)
            if sum(each.nbytes for _, each in self._texts.values()) <= MOST_TEXT_BYTES:
                self._texts[shard] = (stamp, texts)
        return texts

    def _gather(self, shard: int, trajectory_id: str) -> Sample | None:
        finished = self._finished
        table = finished.run.table("masks")
        if not table.exists(shard):
            return None
        prompt_id = trajectory_id.rpartition("-")[0]
        prompts = PromptFinder(finished.prompts)
        columns = [*PROMPT_COLUMNS, "images"]
        rows = prompts.find([prompt_id], shard, columns).to_pylist()
        return next(gather_shard(finished.run, shard, {trajectory_id}, rows), None)

    def _reopen(self) -> FinishedRun:
        """The run as it is now: one that is at work has written more into run.json since."""
        self._finished = open_finished(self.root)
        return self._finished

    def _stamp(self, shard: int) -> str:
        run = self._finished.run
        files = [run.table(name).path(shard) for name in _TABLES[:3]]
        files.append(run.rejects("repair").path(shard))
        facts = []
        for path in files:
            try:
                status = path.stat()
            except OSError:
                facts.append((0, 0))
            else:
                facts.append((status.st_mtime_ns, status.st_size))
        return _digest(facts)


_SMALL = (SMALL_BYTES, LARGEST_AREA // 4, LARGEST_SIDE)


def _describe_picture(image: dict[str, Any]) -> dict[str, Any]:
    from dfgen.pictures.decode import decode_small

    facts: dict[str, Any] = {"name": (image["path"] or "").replace("\\", "/").rpartition("/")[2]}
    try:
        _, (width, height) = decode_small(image["bytes"], LARGEST_SIDE)
    except DfgenError:
        return facts
    return facts | {"width": width, "height": height, "exact": max(width, height) <= EXACT_SIDE}


def _digest(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def _encode(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # Models write halves of surrogate pairs, which no UTF-8 has.
    return text.encode(errors="replace")
