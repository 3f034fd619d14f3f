"""Keeps several workers on one run within the limits of the run: what they may spend, in shares.

One ledger, replaced by whoever changes it on condition that nobody else has meanwhile, says what
was spent before (`base`), and of each worker what it was granted and what it has used of that. The
sum of what is granted never exceeds the limit. Who needs more asks for a share; who is done gives
back what is left of its own. What a dead worker had is settled by counting what is on disk.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from dfgen.errors import DamagedFileError
from dfgen.store.layout import SHARED
from dfgen.store.shared.crew import TOKEN, Crew
from dfgen.store.shared.files import SharedFiles

FOLDER = "budget"
_MOST_AT_ONCE = 64
"""Requests of one share. A worker that is killed has at most so many that others wait for."""


@dataclass(frozen=True, slots=True)
class Amount:
    """So many requests, and so many dollars for them."""

    requests: int = 0
    usd: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.requests + other.requests, self.usd + other.usd)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.requests - other.requests, self.usd - other.usd)

    @property
    def mean_usd(self) -> float:
        """Dollars for one request; 0 if there was none."""
        return self.usd / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Share:
    """Of one worker: what it may spend, and what it has spent of that, as far as it has said."""

    granted: Amount = field(default_factory=Amount)
    used: Amount = field(default_factory=Amount)

    @property
    def taken(self) -> Amount:
        """What others cannot have: all that is granted, or more if that was not enough."""
        return Amount(
            max(self.granted.requests, self.used.requests), max(self.granted.usd, self.used.usd)
        )


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a run has spent and may spend."""

    base: Amount = field(default_factory=Amount)
    shares: dict[str, Share] = field(default_factory=dict)

    @property
    def used(self) -> Amount:
        """All that was spent, as far as it was said."""
        return sum((share.used for share in self.shares.values()), self.base)

    @property
    def taken(self) -> Amount:
        """All that was spent or granted."""
        return sum((share.taken for share in self.shares.values()), self.base)


class Budget:
    """The share of one worker. Not safe to use from several threads.

    Args:
        crew: of the run.
        token: of the worker.
        name: of what is spent on.
        max_requests, max_cost_usd: of the run; None is no limit.
    """

    def __init__(
        self,
        crew: Crew,
        token: str,
        name: str,
        *,
        max_requests: int | None,
        max_cost_usd: float | None,
    ) -> None:
        self._files: SharedFiles = crew.files
        self._crew = crew
        self._token = token
        self._name = f"{FOLDER}/{name}"
        self._max_requests = max_requests
        self._max_cost_usd = max_cost_usd
        self.ledger = Ledger()
        """As it was last seen."""

    def settle(self, count: Callable[[], tuple[int, float]]) -> None:
        """Count anew what was spent before, those included who have left or died since.

        Args:
            count: requests and dollars that are on disk, of all workers.

        Raises:
            StorageError: the shared files cannot be read or written.
        """

        def change(ledger: Ledger) -> Ledger:
            shares = {
                token: share
                for token, share in ledger.shares.items()
                if token == self._token or not self._crew.is_gone(token)
            }
            # What the living spend while this counts is in both, until it is counted again: too
            # much counts as spent then, never too little.
            found = Amount(*count())
            known = sum((share.used for share in shares.values()), Amount())
            base = Amount(max(0, found.requests - known.requests), max(0.0, found.usd - known.usd))
            return Ledger(base, shares)

        self._change(change)

    def get_own(self) -> Share:
        """Return this worker's share as it was last seen."""
        return self.ledger.shares.get(self._token, Share())

    def is_settled(self) -> bool:
        """Say whether the ledger knows this worker, and nobody that is gone with a share unused."""
        self.ledger = self._read()[0]
        return self._token in self.ledger.shares and not any(
            share.taken != share.used and self._crew.is_gone(token)
            for token, share in self.ledger.shares.items()
            if token != self._token
        )

    def ask(self, used: Amount, in_flight: int) -> Share:
        """Say what was used and ask for more; returns the share as it is then.

        Args:
            used: by this worker since it was first granted anything.
            in_flight: requests of the share that have not come back.

        Raises:
            StorageError: the shared files cannot be read or written.
        """

        def change(ledger: Ledger) -> Ledger:
            mine = replace(ledger.shares.get(self._token, Share()), used=used)
            ledger = Ledger(ledger.base, {**ledger.shares, self._token: mine})
            mean = ledger.used.mean_usd
            # What is in flight will cost something, and may cost more than it was granted for.
            needed = used + Amount(in_flight, in_flight * mean)
            mine = replace(mine, granted=Share(mine.granted, needed).taken)
            ledger.shares[self._token] = mine
            more = self._choose_size(ledger, mean)
            mine = replace(mine, granted=mine.granted + Amount(more, more * mean))
            return Ledger(ledger.base, {**ledger.shares, self._token: mine})

        self._change(change)
        return self.ledger.shares[self._token]

    def give_back(self, used: Amount) -> None:
        """Say what was used and that nothing more is needed for now. Raises `StorageError`."""
        share = Share(used, used)
        self._change(lambda each: Ledger(each.base, {**each.shares, self._token: share}))

    def is_waited_for(self) -> bool:
        """Say whether another living worker has something that it may give back."""
        self.ledger = self._read()[0]
        return any(
            share.taken != share.used and not self._crew.is_gone(token)
            for token, share in self.ledger.shares.items()
            if token != self._token
        )

    def _choose_size(self, ledger: Ledger, mean: float) -> int:
        """How many more requests to grant: the fewer are left, the smaller the share."""
        left: float = _MOST_AT_ONCE * len(ledger.shares) * 2
        if self._max_requests is not None:
            left = min(left, self._max_requests - ledger.taken.requests)
        if self._max_cost_usd is not None and mean:
            # Whole requests, although sums of prices are never quite the price of the sum.
            affordable = (self._max_cost_usd - ledger.taken.usd) / mean
            left = min(left, math.floor(affordable + 1e-9))
        elif self._max_cost_usd is not None and ledger.taken.usd > self._max_cost_usd:
            left = 0
        if left < 1:
            return 0
        return max(1, min(_MOST_AT_ONCE, int(left) // (2 * len(ledger.shares))))

    def _change(self, change: Callable[[Ledger], Ledger]) -> None:
        while True:
            ledger, version = self._read()
            changed = change(ledger)
            data = _encode(changed)
            if version is None:
                done = self._files.create(self._name, data)
            else:
                done = self._files.replace(self._name, data, version)
            if done is not None:
                self.ledger = changed
                return

    def _read(self) -> tuple[Ledger, str | None]:
        found = self._files.read(self._name)
        if found is None:
            return Ledger(), None
        ledger = _parse(found[0])
        if ledger is None:
            raise DamagedFileError(
                "the ledger of what the workers may spend is damaged, and without it nobody spends "
                "anything.",
                where=f"{SHARED}/{self._name}, version {found[1]}",
                hint="Stop all workers and give the same command without --shared, or remove the "
                f"folder {SHARED}/ of the run: what was spent is counted from the rows.",
            )
        return ledger, found[1]


def _encode(ledger: Ledger) -> bytes:
    def plain(amount: Amount) -> list[float]:
        return [amount.requests, amount.usd]

    shares = {t: [plain(s.granted), plain(s.used)] for t, s in ledger.shares.items()}
    return json.dumps({"base": plain(ledger.base), "shares": shares}).encode()


def _parse(data: bytes) -> Ledger | None:
    """Read a ledger; None if it is none."""
    try:
        found: Any = json.loads(data)
        shares = {
            token: Share(_read_amount(granted), _read_amount(used))
            for token, (granted, used) in found["shares"].items()
            if TOKEN.fullmatch(token)
        }
        return Ledger(_read_amount(found["base"]), shares)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _read_amount(pair: Any) -> Amount:
    requests, usd = pair
    if type(requests) is not int or requests < 0 or not (0 <= float(usd) < math.inf):
        raise ValueError(f"{pair!r} is no amount")
    return Amount(requests, float(usd))
