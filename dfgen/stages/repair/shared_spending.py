"""Counts what repairs cost where several workers share the limits of one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from dfgen.stages.repair.spending import Spending, Spent, SpentCount
from dfgen.store.shared.budget import Amount, Budget, Share
from dfgen.store.shared.run import SharedRun

if TYPE_CHECKING:
    from dfgen.config.repair import RepairConfig
    from dfgen.stages.session import Session

_LOOK_S = 0.5


class SharedSpending(Spending):
    """What this worker may still spend of what the run may.

    Args:
        config: the limits of the run.
        budget: of this worker.
        count: what is on disk, of all workers.
        stopped: whether a stop was asked for.
        out: see `Spending`.
    """

    def __init__(
        self,
        config: RepairConfig,
        budget: Budget,
        count: Callable[[], Spent],
        stopped: Callable[[], bool],
        out: int = 0,
    ) -> None:
        self._budget = budget
        self._count = count
        self._stopped = stopped
        if not budget.is_settled():
            budget.settle(self._count_on_disk)
        mine = budget.get_own()
        self._own = mine.used
        self._mean_usd = 0.0
        self._share = Share(mine.used, mine.used)
        super().__init__(config, _as_spent(budget.ledger.used), out)

    def add(self, cost_usd: float | None) -> None:
        """Count an answer; one whose cost nobody knows takes the mean of the others."""
        super().add(cost_usd)
        self._own += Amount(1, self._mean_usd if cost_usd is None else cost_usd)

    def check(self) -> None:
        """Wait until there is something to spend again, now that nothing is in flight.

        Raises:
            DfgenError: the limit is reached, and no other worker has anything to give back.
        """
        self._give_back()
        while not self._stopped():
            self._budget.settle(self._count_on_disk)
            if not self._would_break():
                return
            self._give_back()
            if not self._budget.is_waited_for():
                used = self._budget.ledger.used
                self.requests, self.cost_usd = used.requests, used.usd
                raise self._describe_limit()
            time.sleep(_LOOK_S)

    def close(self) -> None:
        """Give back what is left."""
        self._give_back()

    def _count_on_disk(self) -> tuple[int, float]:
        """Requests and dollars of all workers; of unknown costs nothing is left to share."""
        spent = self._count()
        known = spent.requests - spent.unknown
        mean = spent.cost_usd / known if known else 0.0
        return spent.requests, spent.cost_usd + mean * spent.unknown

    def _give_back(self) -> None:
        self._budget.give_back(self._own)
        self._share = Share(self._own, self._own)

    def _would_break(self, *, guessing: bool = True) -> bool:  # noqa: ARG002 (a share is asked for)
        if self._fits():
            return False
        self._share = self._budget.ask(self._own, self._in_flight)
        self._mean_usd = self._budget.ledger.used.mean_usd
        return not self._fits()

    def _fits(self) -> bool:
        """Whether one more request is within the share."""
        needed = self._own + Amount(1, self._mean_usd)
        needed += Amount(self._in_flight, self._in_flight * self._mean_usd)
        granted = self._share.granted
        if needed.requests > granted.requests:
            return False
        return self.max_cost_usd is None or needed.usd <= granted.usd + 1e-9


class ShownSpending(Spending):
    """What a shared run has cost, where nothing is limited and it is only shown.

    Args:
        config: without limits.
        run: of the repairs.
        count: what is on disk, of all workers; keeps the total between passes.
        out: see `Spending`.
    """

    def __init__(self, config: RepairConfig, run: SharedRun, count: SpentCount, out: int) -> None:
        super().__init__(config, count.count_now_and_then(run), out)
        self._run = run
        self._count = count

    def close(self) -> None:
        """Keep the total for the next pass."""
        self._count.remember(self._run, Spent(self.requests, self.cost_usd, self.unknown))


def _as_spent(amount: Amount) -> Spent:
    return Spent(amount.requests, amount.usd)


def open_spending(
    session: Session, config: RepairConfig, spent: SpentCount, out: int = 0
) -> Spending:
    """Return what keeps to the limits of a run, alone or together with other workers.

    Args:
        spent: knows what is on disk.
        out: see `Spending`.
    """

    run, limits = session.run, (config.max_requests, config.max_cost_usd)
    if not isinstance(run, SharedRun):
        return Spending(config, spent.count(run), out)
    if limits == (None, None):
        return ShownSpending(config, run, spent, out)

    def count() -> Spent:
        # Of those who have left or died since, nothing but this says what they have spent.
        run.look_again()
        return spent.count(run)

    budget = Budget(
        run.membership.crew,
        run.membership.token,
        "repair",
        max_requests=config.max_requests,
        max_cost_usd=config.max_cost_usd,
    )
    return SharedSpending(config, budget, count, lambda: session.stop.requested, out)
