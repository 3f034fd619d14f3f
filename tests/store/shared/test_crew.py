"""Who works on a shared run, who is given up, and what one who was given up can still do."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from dfgen.errors import RunLockedError, StorageError
from dfgen.store.atomic_files import remove_files, replace_file
from dfgen.store.journal import Journal
from dfgen.store.lock import describe_this_process
from dfgen.store.shared.claims import Claims, iter_claims
from dfgen.store.shared.crew import (
    Crew,
    Member,
    encode_member,
    find_desk,
    name_record,
    parse_member,
)
from dfgen.store.shared.files import PosixFiles
from dfgen.store.shared.membership import Membership
from dfgen.store.shared.run import SharedRun
from tests.support.stub_engine import make_pipeline


class Clock:
    """Seconds that only pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def crew(tmp_path: Path, clock: Clock) -> Crew:
    return Crew(PosixFiles(tmp_path / "shared"), tmp_path, clock)


def add_member(crew: Crew, lease_s: float = 60.0) -> Member:
    """A worker on another machine, with a desk."""
    holder = replace(describe_this_process(), host="elsewhere")
    member = Member(holder, lease_s)
    assert crew.files.create(name_record(member.token), encode_member(member))
    find_desk(crew.root, member.token).mkdir()
    return member


def watch(crew: Crew, clock: Clock, token: str, seconds: float, looks: int) -> bool:
    """Look after a worker so often in so many seconds; whether it is gone at last."""
    gone = False
    for _ in range(looks):
        clock.now += seconds / looks
        gone = crew.is_gone(token)
    return gone


def test_a_silent_worker_is_given_up_after_its_lease(crew: Crew, clock: Clock) -> None:
    member = add_member(crew)
    assert not crew.is_gone(member.token)
    assert not watch(crew, clock, member.token, 59, 10)
    assert watch(crew, clock, member.token, 2, 1)
    assert not find_desk(crew.root, member.token).exists()
    assert list(crew.iter_members()) == []


def test_a_sign_of_life_begins_the_lease_anew(crew: Crew, clock: Clock) -> None:
    member = add_member(crew)
    for _ in range(5):
        assert not watch(crew, clock, member.token, 50, 10)
        found = crew.files.read(name_record(member.token))
        assert found is not None
        assert crew.files.replace(name_record(member.token), encode_member(member), found[1])
    assert not watch(crew, clock, member.token, 50, 10)


@pytest.mark.parametrize("jump", [3600.0, 1e9])
def test_who_was_asleep_has_not_watched(crew: Crew, clock: Clock, jump: float) -> None:
    """A machine that was paused with all its workers gives none of them up when it wakes."""
    member = add_member(crew)
    assert not crew.is_gone(member.token)
    clock.now += jump
    assert not crew.is_gone(member.token)


@pytest.mark.parametrize("at", ["1970-01-01T00:00:00+00:00", "2999-01-01T00:00:00+00:00", "?"])
def test_the_clock_of_a_worker_does_not_matter(crew: Crew, clock: Clock, at: str) -> None:
    member = add_member(crew)
    found = crew.files.read(name_record(member.token))
    assert found is not None
    now = parse_member(found[0])
    assert now is not None
    data = found[0].replace(now.at.encode(), at.encode())
    assert crew.files.replace(name_record(member.token), data, found[1])
    assert not crew.is_gone(member.token)
    assert not watch(crew, clock, member.token, 59, 10)
    assert watch(crew, clock, member.token, 2, 1)


def test_a_damaged_record_is_given_up_like_any_other(crew: Crew, clock: Clock) -> None:
    assert crew.files.create(name_record("abc"), b"{torn")
    assert not crew.is_gone("abc")
    assert watch(crew, clock, "abc", 80, 10)


def test_a_process_that_is_surely_dead_is_given_up_at_once(crew: Crew) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    member = Member(replace(describe_this_process(), pid=child), 3600.0)
    crew.files.create(name_record(member.token), encode_member(member))
    assert crew.is_gone(member.token)


def test_who_is_given_up_can_put_nothing_in_place(crew: Crew, clock: Clock, tmp_path: Path) -> None:
    member = add_member(crew)
    desk, target = find_desk(tmp_path, member.token), tmp_path / "masks" / "part-00000.parquet"
    with replace_file(target, desk) as temporary:
        temporary.write_bytes(b"first")
    with (
        pytest.raises(RunLockedError, match="taken over"),
        replace_file(target, desk) as temporary,
    ):
        temporary.write_bytes(b"late")
        crew.is_gone(member.token)
        watch(crew, clock, member.token, 61, 10)
    with pytest.raises(RunLockedError, match="taken over"):
        remove_files([target], desk)
    assert target.read_bytes() == b"first"
    assert list(tmp_path.glob("**/.dfgen-*")) == []


def test_a_worker_notices_that_it_was_given_up(crew: Crew) -> None:
    membership = Membership(crew, 3600.0)
    membership.enter()
    crew.files.delete(name_record(membership.token))
    with pytest.raises(RunLockedError, match="taken over"):
        membership.change(joined=True)
    with pytest.raises(RunLockedError, match="taken over"):
        membership.check()
    membership.leave()


def test_who_was_frozen_leaves_nothing_behind_before_its_next_sign_of_life(
    tmp_path: Path, clock: Clock
) -> None:
    """The answer that it waited for arrives first, and its run has long been finished."""
    run = SharedRun.open_or_create(tmp_path / "run", make_pipeline())
    membership = Membership(Crew(run.files, run.root, clock), 3600.0)
    membership.enter()
    journal = Journal(run.root / "journal" / "x", stage="sample", shard=0, guard=membership.check)
    journal.append([{"paid": 1}])
    journal.delete()
    run.files.delete(name_record(membership.token))
    clock.now += 3601
    with pytest.raises(RunLockedError, match="taken over"):
        journal.append([{"paid": 2}])
    with pytest.raises(RunLockedError, match="taken over"):
        Claims(membership).take("sample-00000")
    assert not list(run.root.glob("journal/*"))
    assert not list(iter_claims(run.files))
    membership.leave()


def test_only_one_has_a_claim_until_it_leaves(crew: Crew) -> None:
    first, second = Membership(crew, 3600.0), Membership(crew, 3600.0)
    first.enter()
    second.enter()
    mine, theirs = Claims(first), Claims(second)
    assert mine.take("mask-00000")
    assert mine.take("mask-00000")
    assert not theirs.take("mask-00000")
    mine.let_go("mask-00000")
    assert theirs.take("mask-00000")
    mine.let_go("mask-00000")
    assert [claim.token for claim in iter_claims(crew.files)] == [second.token]
    second.leave()
    assert mine.take("mask-00000"), "without a word: its record is gone"
    first.leave()


def test_what_one_who_died_in_the_middle_of_giving_up_left_is_finished(
    crew: Crew, tmp_path: Path
) -> None:
    member = add_member(crew)
    desk = find_desk(tmp_path, member.token)
    (desk / "half").touch()
    crew.files.delete(name_record(member.token))
    desk.rename(desk.with_name(f"{desk.name}.gone"))
    crew.clear_up()
    assert list(tmp_path.glob(".dfgen-*")) == []


def test_whatever_fails_of_one_who_was_given_up_that_is_the_reason(tmp_path: Path) -> None:
    """Its journals are gone with the shards that others have finished, for instance."""
    run = SharedRun.open_or_create(tmp_path / "run", make_pipeline())
    with pytest.raises(RunLockedError, match="taken over"), run.join(3600.0):
        run.membership.desk.rmdir()
        raise StorageError("cannot sync it: No such file or directory.")
