"""Workers that ask one account share its rates, whoever comes, leaves or dies."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.store.lock import describe_this_process
from dfgen.store.shared.crew import Crew, Member, encode_member, name_record
from dfgen.store.shared.files import PosixFiles
from dfgen.store.shared.rate_shares import RateShare
from tests.support.waiting import wait_until


class Workers:
    """Workers of one run, each with its part of one account's rates."""

    def __init__(self, root: Path, count: int) -> None:
        self.files = PosixFiles(root / "shared")
        self.members = [Member(describe_this_process(), 3600) for _ in range(count)]
        self.shares = []
        for member in self.members:
            self.files.create(name_record(member.token), encode_member(member))
            self.shares.append(RateShare(Crew(self.files, root), member.token, "account"))

    def kill(self, who: int) -> None:
        """As a worker that was killed and given up: it goes on for as long as it did not notice."""
        self.files.delete(name_record(self.members[who].token))


STEPS = st.lists(
    st.tuples(st.sampled_from(["look", "look", "back", "die"]), st.integers(0, 3)), max_size=60
)


@settings(deadline=None, max_examples=40)
@given(steps=STEPS)
def test_no_order_of_events_gives_more_than_the_whole(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    workers = Workers(tmp_path_factory.mktemp("run"), 4)
    dead: set[int] = set()
    for action, who in steps:
        if who in dead:
            continue
        if action == "look":
            workers.shares[who].look()
        elif action == "back":
            workers.shares[who].give_back()
        else:
            workers.kill(who)
            dead.add(who)
        living = [share.part for each, share in enumerate(workers.shares) if each not in dead]
        assert sum(living) <= 1 + 1e-9
    # However it went, those who are left come to equal parts of all of it.
    left = [workers.shares[who] for who in range(4) if who not in dead]
    for _ in range(3):  # all are known; nobody has too much; everybody has enough
        for share in left:
            share.look()
    assert all(share.part == pytest.approx(1 / len(left)) for share in left)


def test_a_part_is_held_while_requests_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfgen.store.shared.rate_shares.LOOK_S", 0.01)
    workers = Workers(tmp_path, 2)
    first, second = workers.shares
    with first.hold() as find_first:
        assert find_first() == 1
        with second.hold() as find_second:
            wait_until(lambda: find_first() == find_second() == 0.5)
        wait_until(lambda: find_first() == 1)
    assert workers.files.read("rates/account") is not None
    second.look()
    assert second.part == 1, "what was held is free again"


def test_two_stages_of_one_worker_share_with_each_other(tmp_path: Path) -> None:
    workers = Workers(tmp_path, 1)
    one = workers.shares[0]
    other = RateShare(Crew(workers.files, tmp_path), workers.members[0].token, "account")
    for share in (one, other, one, other):
        share.look()
    assert (one.part, other.part) == (0.5, 0.5)


@pytest.mark.parametrize(
    "torn",
    [b"", b"{", b"[1]", b'{"a": null}', b'{"a": NaN}', b'{"a": -1}', b'{"a": 1e400}', b"\xff"],
)
def test_a_damaged_ledger_is_begun_anew(torn: bytes, tmp_path: Path) -> None:
    workers = Workers(tmp_path, 2)
    for share in workers.shares:
        share.look()
    found = workers.files.read("rates/account")
    assert found is not None
    assert workers.files.replace("rates/account", torn, found[1]) is not None
    for _ in range(3):
        for share in workers.shares:
            share.look()
    assert [share.part for share in workers.shares] == [0.5, 0.5]
