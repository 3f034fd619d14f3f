"""What the Hub may answer: one sentence with the address and the way out, and never the token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.bucket_jobs import BucketJob
from tests.support.bucket_runs import list_keys
from tests.support.hub import Fault, HubStub
from tests.support.hub_api import TOKEN
from tests.support.hub_runs import BUCKET
from tests.support.scripted_models import Models
from tests.support.scripted_runs import invoke

WRONG = "hf_" + "w" * 34

REFUSALS: dict[str, tuple[list[Fault], tuple[str, ...]]] = {
    "write 403": (
        [Fault("GET", "/xet-write-token", 403)],
        ("the token does not allow it (403)", "role `write`"),
    ),
    "batch 403": (
        [Fault("POST", "/batch", 403)],
        ("the token does not allow it (403)", "role `write`"),
    ),
    "slow": (
        [Fault("POST", "/batch", 429, times=99)],
        ("asks to slow down", "bucket.flush_seconds"),
    ),
    "broken": ([Fault("POST", "/batch", 503, times=99)], ("the Hub has an error", "Wait a little")),
    "full": ([Fault("POST", "/batch", 402)], ("is used up", "Free some space")),
    "unknown": ([Fault("POST", "/batch", 418)], ("has refused it", "Put that right")),
    "hangs up": (
        [Fault("POST", "/batch", drop=True, times=99)],
        ("cannot be reached", "HF_ENDPOINT"),
    ),
}


def check(output: str, address: str, *words: str) -> None:
    """Hold an error against what it has to say."""
    said = " ".join(output.split())
    for word in (address, *words):
        assert word in said
    for secret in (TOKEN, WRONG, "Traceback", "injected"):
        assert secret not in said


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", REFUSALS)
def test_what_the_hub_refuses_leaves_nothing_behind(
    hub: HubStub, bucket: str, bucket_job: BucketJob, models: Models, kind: str
) -> None:
    faults, words = REFUSALS[kind]
    hub.faults += [Fault(**vars(fault)) for fault in faults]
    address = f"{bucket}/a"
    check(
        invoke("run", bucket_job.pipeline, "--out", address, code=1).output,
        address,
        *words,
        "the same command",
    )
    assert not models.drawn
    hub.faults.clear()
    assert list_keys(address) == []


def forget_token(hub: HubStub, patch: pytest.MonkeyPatch) -> None:
    patch.delenv("HF_TOKEN")


def take_another_token(hub: HubStub, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("HF_TOKEN", WRONG)


def remove_bucket(hub: HubStub, patch: pytest.MonkeyPatch) -> None:
    del hub.state.buckets[BUCKET]


def go_offline(hub: HubStub, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("HF_HUB_OFFLINE", "1")


def be_nowhere(hub: HubStub, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")


def have_an_old_client(hub: HubStub, patch: pytest.MonkeyPatch) -> None:
    patch.delattr("huggingface_hub.HfApi.batch_bucket_files")


def have_no_client_of_xet(hub: HubStub, patch: pytest.MonkeyPatch) -> None:
    patch.setitem(__import__("sys").modules, "hf_xet", None)


SITUATIONS: dict[Callable[[HubStub, pytest.MonkeyPatch], None], tuple[str, ...]] = {
    forget_token: ("there is no token for the Hub", "Set HF_TOKEN", "hf auth login"),
    take_another_token: ("does not take the token", "hf auth login"),
    remove_bucket: ("there is no such bucket", f"hf buckets create {BUCKET} --private"),
    go_offline: ("HF_HUB_OFFLINE is set", "Unset it", "hf buckets sync"),
    be_nowhere: ("the Hub cannot be reached", "HF_ENDPOINT"),
    have_an_old_client: ("does not know the Hub's Storage Buckets", "huggingface_hub>=1.5"),
    have_no_client_of_xet: ("does not know the Hub's Storage Buckets", "hf_xet"),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.__name__)
def test_what_is_missing_is_named(
    hub: HubStub,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    situation: Callable[[HubStub, pytest.MonkeyPatch], None],
) -> None:
    situation(hub, monkeypatch)
    output = invoke("status", f"{bucket}/a", code=1).output
    check(output, f"{bucket}/a", *SITUATIONS[situation])


@pytest.mark.usefixtures("impatient")
def test_a_hub_that_is_away_for_a_moment_is_waited_for(
    hub: HubStub, bucket: str, bucket_job: BucketJob, models: Models
) -> None:
    assert not models.drawn
    for path, method in (("/tree", "GET"), ("/paths-info", "POST"), ("/batch", "POST")):
        hub.faults.append(Fault(method, path, 503, times=2))
    hub.faults.append(Fault("POST", "/batch", 500, skip=3, after=True))
    invoke("sample", bucket_job.pipeline, "--out", f"{bucket}/a", "--quiet")
    assert not any(fault.times for fault in hub.faults)


def test_a_public_bucket_is_read_without_a_token(
    hub: HubStub,
    bucket: str,
    bucket_job: BucketJob,
    models: Models,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from tests.support.bucket_runs import move_to

    address = f"{bucket}/a"
    invoke("sample", bucket_job.pipeline, "--out", address, "--quiet")
    assert models.drawn
    hub.state.buckets[BUCKET].private = False
    monkeypatch.delenv("HF_TOKEN")
    move_to(tmp_path / "there", monkeypatch)
    assert address in invoke("stats", address).output
    output = invoke("repair", address, "--quiet", code=1).output
    check(output, address, "there is no token for the Hub", "Set HF_TOKEN")
