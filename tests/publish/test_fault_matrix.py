"""Whatever goes wrong on the way, a run is published exactly once and verified, or not at all.

Every fault is injected into the loopback Hub under the real client.
"""

from __future__ import annotations

import pytest

from tests.publish.conftest import REPO, Outcome, Publish
from tests.support.hub import Fault, HubStub
from tests.support.hub_store import keep_in_git

COMMIT = r"/commit/main$"
PASSING = {
    "create_repo 429": [Fault("POST", "/repos/create", 429, headers={"Retry-After": "0"})],
    "create_repo 503": [Fault("POST", "/repos/create", 503)],
    "create_repo carried out, 504": [Fault("POST", "/repos/create", 504, after=True)],
    "preupload 429": [Fault("POST", "/preupload/", 429, headers={"RateLimit": '"api";r=0;t=1'})],
    "preupload 500": [Fault("POST", "/preupload/", 500)],
    "LFS batch 503": [Fault("POST", "/objects/batch", 503)],
    "LFS PUT 500 twice": [Fault("PUT", "/lfs/", 500, times=2)],
    "LFS PUT 403, address expired": [Fault("PUT", "/lfs/", 403)],
    "LFS verify 500": [Fault("POST", "/verify/", 500)],
    "commit 503": [Fault("POST", COMMIT, 503)],
    "commit 429": [Fault("POST", COMMIT, 429, headers={"Retry-After": "1"})],
    "commit 412": [Fault("POST", COMMIT, 412)],
    "commit 409": [Fault("POST", COMMIT, 409)],
    "commit carried out, 504": [Fault("POST", COMMIT, 504, after=True)],
    "commit carried out, 500": [Fault("POST", COMMIT, 500, after=True)],
    "commit carried out, connection lost": [Fault("POST", COMMIT, after=True, drop=True)],
    "commit not carried out, connection lost": [Fault("POST", COMMIT, drop=True)],
    "tag 503": [Fault("POST", "/tag/", 503)],
    "tag carried out, 504": [Fault("POST", "/tag/", 504, after=True)],
    "paths-info 502": [Fault("POST", "/paths-info/", 502)],
    "several at once": [
        Fault("POST", "/repos/create", 429, headers={"Retry-After": "0"}),
        Fault("POST", "/preupload/", 502),
        Fault("PUT", "/lfs/", 500),
        Fault("POST", COMMIT, 504, after=True),
        Fault("POST", "/tag/", 503),
    ],
}
XET = {
    "none": [],
    "write token 503": [Fault("GET", "/xet-write-token/", 503)],
    "commit 503": [Fault("POST", COMMIT, 503)],
    "commit carried out, 504": [Fault("POST", COMMIT, 504, after=True)],
}


def check_published_once(hub: HubStub, outcome: Outcome, *, others: int = 0) -> None:
    assert outcome.code == 0, outcome.stderr
    repo = hub.state.repos[REPO]
    report = outcome.report
    history = repo.list_history("main")
    assert len(history) == 2 + others, [commit.message for commit in history]
    assert report["commit"] == repo.branches["main"]
    assert repo.tags == {report["tag"]: report["commit"]}
    assert {"README.md", "dfgen.json"} <= set(history[0].files)
    assert sum(path.endswith(".parquet") for path in history[0].files) == 2


@pytest.mark.parametrize("name", PASSING)
def test_published_exactly_once_and_verified(name: str, hub: HubStub, publish: Publish) -> None:
    hub.faults.extend(PASSING[name])
    outcome = publish(hub)
    check_published_once(hub, outcome)
    assert not any(fault.times for fault in PASSING[name]), "the fault was never met"


@pytest.mark.parametrize("name", XET)
def test_the_same_over_xet(name: str, xet_hub: HubStub, publish: Publish) -> None:
    xet_hub.faults.extend(XET[name])
    check_published_once(xet_hub, publish(xet_hub))
    assert not xet_hub.state.objects, "something went over LFS"


def test_multipart_uploads(run, tmp_path, publish: Publish) -> None:
    with HubStub(tmp_path, multipart=10_000) as hub:
        hub.faults.append(Fault("PUT", "/part/2", 500))
        check_published_once(hub, publish(hub))


def test_somebody_elses_commit_in_between_is_kept(hub: HubStub, publish: Publish) -> None:
    def intrude() -> None:
        repo = hub.state.repos[REPO]
        head = repo.commits[repo.branches["main"]]
        files = {**head.files, "notes.txt": keep_in_git(b"mine")}
        repo.branches["main"] = repo.add_commit(head.oid, "notes", files).oid

    hub.faults.append(Fault("POST", COMMIT, hook=intrude))
    check_published_once(hub, publish(hub), others=1)
    repo = hub.state.repos[REPO]
    assert "notes.txt" in repo.commits[repo.branches["main"]].files


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("POST", COMMIT, 503, times=99), "cannot commit (503"),
        (Fault("POST", COMMIT, 403), "needs the role `write`"),
        (Fault("POST", COMMIT, 400), "cannot commit (400"),
        (Fault("POST", "/repos/create", 403, times=9), "cannot create the repository (403"),
        (Fault("PUT", "/lfs/", 501, times=99), "cannot upload"),
    ],
    ids=lambda value: value.path if isinstance(value, Fault) else None,
)
def test_not_at_all_with_a_clear_error(
    fault: Fault, message: str, hub: HubStub, publish: Publish
) -> None:
    fault = Fault(fault.method, fault.path, fault.status, fault.times)
    hub.faults.append(fault)
    outcome = publish(hub)
    assert outcome.code == 1
    assert message in outcome.stderr
    assert "Traceback" not in outcome.stderr
    for repo in hub.state.repos.values():
        assert len(repo.commits) == 1
        assert not repo.tags


def test_what_does_not_load_is_not_tagged_and_the_next_try_finishes(
    hub: HubStub, publish: Publish
) -> None:
    hub.faults.append(Fault("HEAD", r"/resolve/.*\.parquet", 404, times=99))
    hub.faults.append(Fault("GET", r"/tree/.*/groups", 404, times=99))
    broken = publish(hub)
    assert broken.code == 1
    assert "does not load" in broken.stderr
    assert not hub.state.repos[REPO].tags
    hub.faults.clear()
    sent = hub.count("PUT", "/lfs/")
    check_published_once(hub, publish(hub))
    assert hub.count("PUT", "/lfs/") == sent


def test_damage_in_the_store_is_noticed(hub: HubStub, publish: Publish) -> None:
    def damage() -> None:
        repo = hub.state.repos[REPO]
        head = repo.commits[repo.branches["main"]]
        head.files["dfgen.json"] = keep_in_git(b"{}")

    hub.faults.append(Fault("POST", "/paths-info/", hook=damage))
    outcome = publish(hub)
    assert outcome.code == 1
    assert "not those that were sent: dfgen.json" in outcome.stderr
    assert not hub.state.repos[REPO].tags
