"""Records of shared runs that nobody of dfgen has written: no traceback, no wait without an end."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dfgen.errors import DamagedFileError, RunLockedError
from dfgen.store.layout import SHARED
from dfgen.store.lock import describe_this_process
from dfgen.store.shared import exclusion
from dfgen.store.shared.budget import FOLDER, Budget
from dfgen.store.shared.claims import CLAIMS, Claims, iter_claims
from dfgen.store.shared.crew import Crew, Member, encode_member, find_desk, name_record
from dfgen.store.shared.files import PosixFiles
from dfgen.store.shared.membership import Membership


class Clock:
    """Seconds that pass with every look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 10.0
        return self.now


@pytest.fixture
def crew(tmp_path: Path) -> Crew:
    return Crew(PosixFiles(tmp_path / SHARED), tmp_path, Clock())


def forge(**fields: Any) -> Callable[[dict[str, Any]], bytes]:
    return lambda record: json.dumps(record | fields).encode()


RECORDS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "endless lease": forge(lease_s=float("inf")),
    "no lease": forge(lease_s=float("nan")),
    "lease of the past": forge(lease_s=-1.0),
    "lease of digits": lambda record: json.dumps(record | {"lease_s": 10**400}).encode(),
    "endless beat": forge(beat=float("inf")),
    "begun": forge(begun=5),
    "activity": forge(activity=[1]),
    "another's token": lambda record: json.dumps(
        record | {"holder": record["holder"] | {"token": "../../x"}}
    ).encode(),
    "empty": lambda _: b"",
    "bytes": lambda _: b"\xff" * 100,
    "deep": lambda _: b"[" * 100_000,
    "large": lambda _: b"x" * (3 << 20),
}


@pytest.mark.parametrize("kind", RECORDS)
def test_a_forged_worker_is_watched_and_given_up(
    crew: Crew, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("dfgen.store.shared.files._WRITE_S", 0.0)
    monkeypatch.setattr(exclusion, "_LOOK_S", 0.0)
    monkeypatch.setattr(exclusion, "Crew", lambda *_: crew)
    holder = replace(describe_this_process(), host="elsewhere")
    content = RECORDS[kind](json.loads(encode_member(Member(holder, 2.0))))
    path = crew.root / SHARED / name_record("abc") / "00000001"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert crew.list_others("me") == []
    assert list(crew.iter_members()) == []
    exclusion.refuse_members(crew.root)
    assert not (crew.root / SHARED).exists()


def test_a_worker_with_a_lease_of_hours_is_not_waited_for(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exclusion, "_LOOK_S", 0.0)
    monkeypatch.setattr(exclusion, "_PATIENCE_S", 0.0)
    holder = replace(describe_this_process(), host="elsewhere")
    member = Member(holder, 80_000.0)
    assert crew.files.create(name_record(member.token), encode_member(member))
    with pytest.raises(RunLockedError, match="others share this run"):
        exclusion.refuse_members(crew.root)


@pytest.mark.parametrize("token", ["../../x", "/etc", "", "a\0b", "a" * 5000, 5, None, ["x"]])
def test_a_claim_of_nobody_is_free(crew: Crew, token: Any) -> None:
    membership = Membership(crew, 60.0)
    membership.enter()
    try:
        data = json.dumps({"worker": token, "since": "x"}).encode()
        assert crew.files.create(f"{CLAIMS}/mask-00000", data)
        assert list(iter_claims(crew.files)) == []
        assert Claims(membership).take("mask-00000")
    finally:
        membership.leave()


@pytest.mark.parametrize(
    "ledger",
    [
        b"x",
        b"[]",
        b'{"base": [NaN, NaN], "shares": {}}',
        b'{"base": [0, NaN], "shares": {}}',
        b'{"base": [0, 1e999], "shares": {}}',
        b'{"base": [-1000, -5], "shares": {}}',
        b'{"base": ["a", 1], "shares": {}}',
        b'{"base": [0, 0], "shares": {"abc": [[1e999, 1], [0, 0]]}}',
        b"[" * 100_000,
    ],
    ids=range(9),
)
def test_nobody_spends_on_a_damaged_ledger(crew: Crew, ledger: bytes) -> None:
    assert crew.files.create(f"{FOLDER}/repair", ledger)
    budget = Budget(crew, "me", "repair", max_requests=10, max_cost_usd=None)
    with pytest.raises(DamagedFileError, match="ledger"):
        budget.settle(lambda: (0, 0.0))


@pytest.mark.parametrize("end", ["", ".gone"])
def test_a_desk_that_is_a_link_is_removed_and_what_it_leads_to_is_not(
    crew: Crew, tmp_path: Path, end: str
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "kept").touch()
    (tmp_path / (find_desk(tmp_path, "abc").name + end)).symlink_to(target)
    crew.clear_up()
    assert (target / "kept").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_foreign_files_among_the_versions_are_none(tmp_path: Path) -> None:
    files = PosixFiles(tmp_path)
    assert files.create("a", b"1") == "1"
    for name in ("²", "٣", "00000007.tmp", "7", "9" * 200):
        (tmp_path / "a" / name).write_bytes(b"foreign")
    assert files.read("a") == (b"1", "1")
    assert files.replace("a", b"2", "1") == "2"
