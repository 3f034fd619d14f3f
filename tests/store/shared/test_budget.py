"""Workers stay within the limit of their run, whoever asks, gives back or dies."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.store.lock import describe_this_process
from dfgen.store.shared.budget import Amount, Budget
from dfgen.store.shared.crew import Crew, Member, encode_member, name_record
from dfgen.store.shared.files import PosixFiles


class Clients:
    """Workers of one run: how much each has used, and what it may."""

    def __init__(self, root: Path, count: int, **limits: float | None) -> None:
        self.files = PosixFiles(root / "shared")
        self.crew = Crew(self.files, root)
        limits = {"max_requests": None, "max_cost_usd": None, **limits}
        self.tokens: list[str] = []
        self.budgets: list[Budget] = []
        self.used: list[Amount] = []
        for _ in range(count):
            member = Member(describe_this_process(), 3600)
            self.files.create(name_record(member.token), encode_member(member))
            self.tokens.append(member.token)
            self.budgets.append(Budget(self.crew, member.token, "repair", **limits))  # type: ignore[arg-type]
            self.used.append(Amount())

    @property
    def total(self) -> Amount:
        return sum(self.used, Amount())

    def count(self) -> tuple[int, float]:
        return self.total.requests, self.total.usd

    def spend(self, who: int, usd: float) -> bool:
        """One request, if it is granted."""
        granted = self.budgets[who].get_own().granted
        if self.used[who].requests >= granted.requests:
            granted = self.budgets[who].ask(self.used[who], 0).granted
        if self.used[who].requests >= granted.requests:
            return False
        self.used[who] += Amount(1, usd)
        return True

    def leave(self, who: int) -> None:
        """As a worker that was killed and given up."""
        self.files.delete(name_record(self.tokens[who]))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["spend", "spend", "spend", "back", "settle", "die"]), st.integers(0, 2)
    ),
    max_size=120,
)


@settings(deadline=None, max_examples=40)
@given(steps=STEPS, limit=st.integers(0, 40))
def test_no_order_of_events_breaks_the_limit(
    steps: list[tuple[str, int]], limit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clients = Clients(tmp_path_factory.mktemp("run"), 4, max_requests=limit)
    dead: set[int] = set()
    for action, who in steps:
        if who in dead:
            continue
        if action == "spend":
            clients.spend(who, 0.1)
        elif action == "back":
            clients.budgets[who].give_back(clients.used[who])
        elif action == "settle":
            clients.budgets[who].settle(clients.count)
        elif len(dead) < 2:
            clients.leave(who)
            dead.add(who)
        assert clients.total.requests <= limit
    # However it went, the last one gets all that is left.
    for who in set(range(3)) - dead:
        clients.budgets[who].give_back(clients.used[who])
    clients.budgets[3].settle(clients.count)
    while clients.spend(3, 0.1):
        pass
    assert clients.total.requests == limit


def test_money_is_kept_to_as_soon_as_anybody_knows_a_price(tmp_path: Path) -> None:
    clients = Clients(tmp_path, 2, max_cost_usd=1.0)
    assert clients.spend(0, 0.25)
    clients.budgets[0].give_back(clients.used[0])
    while clients.spend(1, 0.25):
        pass
    assert clients.total.usd == 1.0


def test_a_share_that_is_out_is_waited_for(tmp_path: Path) -> None:
    clients = Clients(tmp_path, 2, max_requests=1)
    assert clients.budgets[0].ask(Amount(), 0).granted.requests == 1
    assert not clients.spend(1, 0)
    assert clients.budgets[1].is_waited_for()
    clients.budgets[0].give_back(Amount())
    assert not clients.budgets[1].is_waited_for()
    assert clients.spend(1, 0)
