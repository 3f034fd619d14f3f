"""Publishing when nothing goes wrong: what is sent, what is not sent again, and what is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.publish.conftest import REPO, Publish, run_command
from tests.support.forking import start_module
from tests.support.hub import Fault, HubStub
from tests.support.hub_api import TOKEN
from tests.support.hub_store import keep_in_git
from tests.support.sample_run import make_run
from tests.support.waiting import wait_until

READ = """
import json, sys
import datasets, dfgen
datasets.disable_progress_bars()
repo = sys.argv[1]
plain = datasets.load_dataset(repo, split="train")
groups = dfgen.load_groups(repo, tokenizer="demo:policy")
masks = dfgen.load_masks(repo, revision=sys.argv[2])
try:
    dfgen.load_masks(repo, tokenizer="0" * 64)
    refused = ""
except dfgen.errors.InputError as error:
    refused = str(error)
print(json.dumps({
    "plain": [plain.num_rows, plain[0]["images"][0].size],
    "groups": [len(groups), sum(len(row["trajectories"]) for row in groups)],
    "masks": [len(masks), sum(len(row["loss_mask"]) for row in masks)],
    "refused": refused,
}))
"""


def test_published_data_loads_with_and_without_dfgen(
    hub: HubStub, publish: Publish, tmp_path: Path
) -> None:
    report = publish(hub).report
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            READ.replace("import datasets, dfgen", "import datasets, dfgen, dfgen.errors"),
            REPO,
            report["tag"],
        ],
        env={**os.environ, **hub.environment(tmp_path / "reader")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    found = __import__("json").loads(result.stdout.splitlines()[-1])
    assert found["plain"] == [4, [64, 64]]
    assert found["groups"] == [4, 12]
    assert found["masks"][0] == 12
    assert "dfgen retokenize" in found["refused"]


def test_publishing_again_changes_nothing(hub: HubStub, publish: Publish) -> None:
    first = publish(hub).report
    sent, commits = hub.count("PUT", "/lfs/"), hub.count("POST", "/commit/")
    again = publish(hub).report
    assert again == {**first, "new": False}
    assert hub.count("PUT", "/lfs/") == sent
    assert hub.count("POST", "/commit/") == commits


@pytest.mark.parametrize("door", ["lfs", "xet"])
def test_a_killed_publish_resumes_without_sending_again(
    door: str, run: Path, tmp_path: Path
) -> None:
    with HubStub(tmp_path, xet=door == "xet") as hub:
        arguments = [str(run), REPO, "--license", "mit"]
        variables = {**os.environ, **hub.environment(tmp_path / "home")}
        started = start_module("dfgen", "publish", *arguments, env=variables, libraries="hub")
        # Over LFS in the middle of the files; over Xet, which sends them itself, at the commit.
        where = ("PUT", "/lfs/", 4) if door == "lfs" else ("POST", "/commit/", 0)
        # What is on its way then is lost, or else a dead client might have sent all there is.
        lost = Fault("PUT", "/lfs/", times=1000, drop=True)

        def strike() -> None:
            hub.faults.append(lost)
            os.kill(started.pid, signal.SIGKILL)

        hub.faults.append(Fault(*where[:2], skip=where[2], hook=strike))
        started.communicate(timeout=300)
        assert started.returncode == -signal.SIGKILL
        # What the dead client had sent whole is still being stored.
        wait_until(lambda: not hub.working)
        lost.times = 0
        written, stored = measure_store(hub), set(hub.state.objects)
        hub.log.clear()
        outcome = run_command(hub, tmp_path, arguments)
        assert outcome.code == 0, outcome.stderr
        assert len(hub.state.repos[REPO].list_history("main")) in (2, 3)
        if door == "lfs":
            assert len(stored) >= 4
            again = {path.rpartition("/")[2] for method, path, _ in hub.log if method == "PUT"}
            assert again
            assert not again & stored
        else:
            assert measure_store(hub) <= written * 1.02


def measure_store(hub: HubStub) -> int:
    folder = hub.state.cas
    return sum(path.stat().st_size for path in folder.rglob("*.xorb")) if folder else 0


def test_what_an_earlier_version_had_more_is_removed(hub: HubStub, publish: Publish) -> None:
    assert publish(hub, "--config-names", "groups,stepwise,preference").code == 0
    repo = hub.state.repos[REPO]
    head = repo.commits[repo.branches["main"]]
    files = {**head.files, "notes/mine.txt": keep_in_git(b"mine")}
    repo.branches["main"] = repo.add_commit(head.oid, "notes", files).oid
    assert publish(hub, "--config-names", "preference").code == 0
    files = repo.commits[repo.branches["main"]].files
    assert [p for p in files if p.endswith(".parquet")] == [
        "preference/train-00000-of-00001.parquet"
    ]
    assert "notes/mine.txt" in files
    assert len(repo.tags) == 2


def test_pull_request_is_made_once(hub: HubStub, publish: Publish) -> None:
    hub.faults.append(Fault("POST", "/commit/", 504, after=True))
    report = publish(hub, "--create-pr").report
    repo = hub.state.repos[REPO]
    assert list(repo.pull_requests) == [1]
    assert report["ref"] == "refs/pr/1"
    assert report["tag"] is None
    assert len(repo.list_history("main")) == 1
    assert publish(hub, "--create-pr").report["ref"] == "refs/pr/1"
    assert list(repo.pull_requests) == [1]


def test_private_branch_and_tag(hub: HubStub, publish: Publish) -> None:
    report = publish(hub, "--private", "--revision", "dev", "--tag", "v1").report
    repo = hub.state.repos[REPO]
    assert repo.private
    assert set(repo.branches) == {"main", "dev"}
    assert repo.tags == {"v1": report["commit"]}
    assert len(repo.list_history("main")) == 1


def test_a_tag_is_never_moved(hub: HubStub, publish: Publish, tmp_path: Path) -> None:
    assert publish(hub, "--tag", "v1").code == 0
    other = make_run(tmp_path / "other", prompts=2, samples=2, seed=5)
    arguments = [str(other), REPO, "--license", "mit", "--tag", "v1"]
    outcome = run_command(hub, tmp_path, arguments)
    assert outcome.code == 1
    assert "the tag v1 is there and names other files" in outcome.stderr
    assert len(hub.state.repos[REPO].list_history("main")) == 2


def test_somebody_elses_data_set_is_not_written_over(hub: HubStub, publish: Publish) -> None:
    repo = hub.state.create_repo(REPO, False)
    head = repo.commits[repo.branches["main"]]
    files = {**head.files, "data/train.csv": keep_in_git(b"a,b\n")}
    repo.branches["main"] = repo.add_commit(head.oid, "data", files).oid
    outcome = publish(hub)
    assert outcome.code == 1
    assert "--allow foreign-repo" in outcome.stderr
    assert not hub.count("POST", "/commit/")


def test_offline_fails_before_any_work(hub: HubStub, publish: Publish, run: Path) -> None:
    outcome = publish(hub, env={"HF_HUB_OFFLINE": "1"})
    assert outcome.code == 1
    assert "HF_HUB_OFFLINE is set" in outcome.stderr
    assert "writing" not in outcome.stderr
    assert not hub.log


def test_no_token_and_a_bad_token(hub: HubStub, publish: Publish) -> None:
    without = publish(hub, env={"HF_TOKEN": "(unset)"})
    assert without.code == 1
    assert "there is no token" in without.stderr
    bad = publish(hub, env={"HF_TOKEN": "hf_" + "x" * 34})
    assert bad.code == 1
    assert "hf auth login" in bad.stderr
    assert "writing" not in bad.stderr


def test_the_token_is_never_shown(hub: HubStub, publish: Publish) -> None:
    hub.faults.append(Fault("POST", "/commit/", 403))
    outcome = publish(hub)
    assert TOKEN not in outcome.stdout + outcome.stderr


def test_dry_run_sends_nothing(hub: HubStub, publish: Publish) -> None:
    outcome = publish(hub, "--dry-run", env={"HF_HUB_OFFLINE": "1", "HF_TOKEN": "(unset)"})
    assert outcome.code == 0, outcome.stderr
    paths = [file["path"] for file in outcome.report["files"]]
    assert paths[-2:] == ["dfgen.json", "README.md"]
    assert not hub.log


def test_no_licence_no_publication(hub: HubStub, run: Path, tmp_path: Path) -> None:
    outcome = run_command(hub, tmp_path, [str(run), REPO])
    assert outcome.code == 1
    assert "--allow no-license" in outcome.stderr
    assert not hub.count("POST", "/api/repos/create")
    allowed = run_command(hub, tmp_path, [str(run), REPO, "--allow", "no-license"])
    assert allowed.code == 0, allowed.stderr


def test_many_files_go_to_a_branch_in_several_commits(hub: HubStub, tmp_path: Path) -> None:
    script = str(Path(__file__).with_name("send_many.py"))
    hub.faults.append(Fault("POST", "/commit/", 504, after=True, skip=1))
    result = subprocess.run(
        [sys.executable, script, REPO, str(tmp_path / "many")],
        env={**os.environ, **hub.environment(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    repo = hub.state.repos[REPO]
    (branch,) = set(repo.branches) - {"main"}
    history = repo.list_history(branch)
    assert [len(commit.files) for commit in history] == [231, 201, 101, 1]
    assert "README.md" in history[0].files
    assert "README.md" not in history[1].files
    assert len(repo.list_history("main")) == 1
