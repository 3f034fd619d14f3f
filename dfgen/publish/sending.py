"""Uploads and commits a release exactly once, whatever fails on the way.

A commit names the head it was made for (`parent_commit`), so the Hub refuses it (412) when another
one came first, be it somebody else's or our own, whose answer was lost. After every failure the
head is read again: if it holds the release, the commit has happened.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dfgen.dataset_names import MANIFEST
from dfgen.errors import PublishError
from dfgen.publish.hub import Hub
from dfgen.publish.options import PublishOptions, Say
from dfgen.publish.release import LocalFile, Release, RemoteFile
from dfgen.publish.retrying import choose_wait, explain, is_transient, read_status
from dfgen.publish.safety import FOREIGN_REPO, Findings, refuse
from dfgen.sizes import write_size

TRIES = 6
"""Of one commit."""

FILES_PER_COMMIT = 100
"""The Hub gives a commit 60 seconds; with more files than these it may not be enough."""

SENT_TOGETHER_BYTES = 8_000_000
"""Small files share the calls that ask where to put them."""

_HARMLESS = {".gitattributes", "README.md", ".gitignore", "LICENSE"}
_CONFLICTS = (409, 412)


@dataclass(frozen=True)
class Sent:
    """Where a release is: its commit, the ref that leads to it, and whether it was new."""

    commit: str
    ref: str
    new: bool


def send_release(hub: Hub, release: Release, options: PublishOptions, say: Say) -> Sent:
    """Upload and commit what is not there yet.

    Raises:
        PublishError: the Hub refuses or stays away; nothing of the release is visible then, unless
            it has too many files for one commit, in which case its branch holds a part.
        UnsafeDataError: the repository holds something that dfgen did not put there.
    """
    branch = options.revision
    if branch is not None and branch not in hub.list_branches():
        hub.create_branch(branch, hub.read_head(None))
    head = hub.read_head(branch)
    remote = hub.list_files(head)
    _check_owner(remote, options)
    if len(release.files) > FILES_PER_COMMIT:
        return _send_in_parts(hub, release, head, say)
    operations = _upload(hub, release.list_missing(remote), branch, options.create_pr, say)
    return _commit(hub, release, release.files, operations, branch, options.create_pr, say)


def _send_in_parts(hub: Hub, release: Release, head: str, say: Say) -> Sent:
    """Several commits on a branch of its own, card and manifest in the last; main stays as it is
    until somebody merges, because a half of a release must not be what people load."""
    branch = f"dfgen-{release.identify()}"
    hub.create_branch(branch, head)
    say(f"{len(release.files)} files: several commits on the branch {branch}")
    sent = Sent(head, branch, new=False)
    new = False
    for start in range(0, len(release.files), FILES_PER_COMMIT):
        part = release.files[start : start + FILES_PER_COMMIT]
        remote = hub.list_files(hub.read_head(branch))
        missing = [file for file in part if not file.is_like(remote.get(file.path))]
        operations = _upload(hub, missing, branch, False, say)
        sent = _commit(hub, release, part, operations, branch, False, say)
        new = new or sent.new
    return Sent(sent.commit, branch, new)


def _upload(
    hub: Hub, files: list[LocalFile], branch: str | None, create_pr: bool, say: Say
) -> dict[str, Any]:
    """Send contents, large files one by one; what the Hub already keeps is not sent again."""
    operations: dict[str, Any] = {}
    for part in _group_small(files):
        size = write_size(sum(file.size for file in part))
        more = f" and {len(part) - 1} more" if len(part) > 1 else ""
        done = len(operations) + len(part)
        say(f"sending {part[0].path}{more} ({size}, {done} of {len(files)} files)")
        operations |= hub.send_files(part, branch, create_pr)
    return operations


def _group_small(files: list[LocalFile]) -> Iterator[list[LocalFile]]:
    part: list[LocalFile] = []
    for file in files:
        if part and sum(f.size for f in part) + file.size > SENT_TOGETHER_BYTES:
            yield part
            part = []
        part.append(file)
    if part:
        yield part


def _commit(
    hub: Hub,
    release: Release,
    part: tuple[LocalFile, ...],
    operations: dict[str, Any],
    branch: str | None,
    create_pr: bool,
    say: Say,
) -> Sent:
    from huggingface_hub import CommitOperationDelete

    last = part[-1] is release.files[-1]
    failure: Exception | None = None
    for tries in range(1, TRIES + 1):
        if create_pr:
            proposed = _find_pull_request(hub, release)
            if proposed is not None:
                return Sent(*proposed, new=failure is not None)
        head = hub.read_head(branch)
        remote = hub.list_files(head)
        missing = [file for file in part if not file.is_like(remote.get(file.path))]
        stale = release.list_stale(remote) if last else []
        if not missing and not stale:
            return Sent(head, branch or "main", new=failure is not None)
        for file in missing:
            if file.path not in operations:  # somebody changed it since we looked
                operations |= hub.send_files([file], branch, create_pr)
        todo = [operations[file.path] for file in missing]
        todo += [CommitOperationDelete(path) for path in stale]
        say(f"committing {len(missing)} files" + (f", removing {len(stale)}" if stale else ""))
        message = f"Publish {release.manifest.name} with dfgen {release.manifest.dfgen}"
        try:
            commit, pull_request = hub.commit(todo, message, head, branch, create_pr)
            return Sent(commit, pull_request or branch or "main", new=True)
        except Exception as error:
            failure = error
            if not is_transient(error) and read_status(error) not in _CONFLICTS:
                raise explain("commit", error) from error
            if tries < TRIES:
                time.sleep(choose_wait(error, tries))
    assert failure is not None
    raise explain("commit", failure) from failure


def _find_pull_request(hub: Hub, release: Release) -> tuple[str, str] | None:
    """Commit and ref of a pull request that proposes exactly this release."""
    for ref, commit in hub.list_pull_requests().items():
        remote = hub.list_files(commit)
        if not release.list_missing(remote) and not release.list_stale(remote):
            return commit, ref
    return None


def _check_owner(remote: dict[str, RemoteFile], options: PublishOptions) -> None:
    """Refuse to write over somebody's other data set."""
    strangers = sorted(path for path in remote if path not in _HARMLESS)
    if not strangers or MANIFEST in remote:
        return
    findings = Findings()
    what = f"it holds {strangers[0]} and {len(strangers) - 1} other files, but no {MANIFEST}"
    findings.add(FOREIGN_REPO, options.repo_id, "", what)
    refuse(findings.list_refused(options.allow))


def check_tag(hub: Hub, release: Release, tag: str) -> str | None:
    """Return the commit of a tag that already names this release; None: the tag is free.

    Raises:
        PublishError: it names something else.
    """
    commit = hub.list_tags().get(tag)
    if commit is None:
        return None
    if release.list_missing(hub.list_files(commit)):
        raise PublishError(
            f"the tag {tag} is there and names other files.",
            where=hub.repo_id,
            hint="Choose another --tag. A tag is a promise to those who pinned it, so dfgen never "
            "moves one.",
        )
    return commit
