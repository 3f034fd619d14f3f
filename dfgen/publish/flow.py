"""Publishes a run: all the steps, from its files here to a verified and tagged data set."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dfgen.publish.hub import Hub, open_hub, refuse_offline
from dfgen.publish.options import PublishOptions, Say
from dfgen.publish.release import Release
from dfgen.publish.safety import check_release
from dfgen.publish.sending import check_tag, send_release
from dfgen.publish.staging import describe_rest, find_folder, stage_release
from dfgen.publish.verifying import verify_checksums, verify_round_trip
from dfgen.store.lock import FileLock

if TYPE_CHECKING:
    from dfgen.store.finished import FinishedRun


@dataclass(frozen=True)
class Published:
    """What came of it.

    Attributes:
        repo_id: with the owner.
        ref: branch or pull request that leads to the commit.
        tag: None for a pull request.
        new: False if the Hub already held exactly this.
    """

    repo_id: str
    url: str
    commit: str
    ref: str
    tag: str | None
    new: bool
    release: Release


def publish_run(finished: FinishedRun, options: PublishOptions, say: Say) -> Published:
    """Publish a run; see `dfgen.publish` for the steps.

    Raises:
        UnsafeDataError: a check found something; nothing was sent.
        PublishError: the Hub refused or stayed away. The same command goes on where it stopped.
        InputError, StorageError: the run cannot be read, the staging folder not be written.
    """
    refuse_offline()
    hub = open_hub(options.repo_id)
    options = replace(options, repo_id=hub.repo_id)
    folder = find_folder(finished, options.repo_id)
    folder.parent.mkdir(exist_ok=True)
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    lock.acquire()
    try:
        release = rehearse(finished, options, say)
        published = _publish(hub, release, options, say)
        shutil.rmtree(folder)
    finally:
        lock.release()
    return published


def rehearse(finished: FinishedRun, options: PublishOptions, say: Say) -> Release:
    """Stage and check everything without a word to the Hub."""
    folder = find_folder(finished, options.repo_id)
    release = stage_release(finished, options, folder, say)
    say("checking for secrets, local paths and positions")
    check_release(release, options.license, describe_rest(finished), options.allow)
    return release


def _publish(hub: Hub, release: Release, options: PublishOptions, say: Say) -> Published:
    hub.create_repo(options.private)
    tag = options.tag or (None if options.create_pr else f"dfgen-{release.identify()}")
    tagged = None if tag is None else check_tag(hub, release, tag)
    sent = send_release(hub, release, options, say)
    say("verifying checksums")
    verify_checksums(hub, release, sent.commit)
    say("loading it as a stranger would")
    verify_round_trip(hub, release, sent.commit)
    if tag is not None and tagged is None:
        hub.create_tag(tag, sent.commit, f"Published by dfgen {release.manifest.dfgen}")
    return Published(hub.repo_id, hub.url, sent.commit, sent.ref, tag, sent.new, release)
