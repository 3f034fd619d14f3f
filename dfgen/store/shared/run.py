"""Opens a run that other processes, on this machine or others, work on at the same time.

Nothing goes from one to the other but through the run directory. Each shard is worked on by whoever
has claimed it; run.json is changed by one after the other; what is put in place goes over the desk
of its writer, so that one who was given up comes too late (`dfgen.store.shared.crew`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dfgen.config.pipeline import Pipeline
from dfgen.errors import RunMismatchError, StorageError
from dfgen.store.atomic_files import describe_takeover
from dfgen.store.layout import MANIFEST, Stage, list_stages
from dfgen.store.manifest import Manifest
from dfgen.store.place import open_lock
from dfgen.store.reserving import Waiting
from dfgen.store.run import Run
from dfgen.store.shared.claims import Claims, iter_claims, name_closing, name_shard
from dfgen.store.shared.crew import Crew, Member
from dfgen.store.shared.files import SharedFiles
from dfgen.store.shared.folder import open_shared_files
from dfgen.store.shared.membership import Membership
from dfgen.version import VERSION

MANIFEST_CLAIM = "manifest"
"""Who has it changes run.json, or looks whether it fits the others."""


class SharedRun(Run):
    """One run directory, worked on by many. Write to it inside `join()`.

    Attributes:
        files: the shared files of the run.
        claims: of this process; only inside `join()`.
    """

    claims: Claims

    def __init__(self, root: Path, manifest: Manifest) -> None:
        super().__init__(root, manifest)
        self.files: SharedFiles = open_shared_files(root)
        self._membership: Membership | None = None

    @property
    def membership(self) -> Membership:
        """This process as one of the workers; only inside `join()`."""
        assert self._membership is not None, "inside join()"
        return self._membership

    @contextmanager
    def join(self, lease_s: float) -> Iterator[None]:
        """Be one of the processes that work on the run.

        Args:
            lease_s: seconds without a sign of life after which others take over.

        Raises:
            RunLockedError: a process has the run for itself; names it.
            RunMismatchError: other workers are of another version of dfgen.
            StorageError: something cannot be written.
        """
        membership = Membership(Crew(self.files, self.root), lease_s)
        membership.enter()
        try:
            # The record is there first, so of two that begin at once, one alone and one to share,
            # at least one sees the other.
            open_lock(self.root).refuse_holder()
            self._membership, self.desk = membership, membership.desk
            self.claims = Claims(membership)
            with self.claims.hold(MANIFEST_CLAIM):
                refuse_other_version(self.root, membership.crew.list_others(membership.token))
                membership.change(joined=True)
            if self.mount is not None:
                self.mount.guard = membership.check
                self.notices += self.mount.take_up()
            self.refresh()
            yield
        except StorageError as error:
            if not membership.desk.is_dir():
                # Whatever it could not write or find: others have gone on without it.
                raise describe_takeover(membership.desk) from error
            raise
        finally:
            if self.mount is not None:
                self.mount.guard = None
            membership.leave()
            self._membership = self.desk = None

    def update(self, change: Callable[[Manifest], None]) -> None:
        """Change run.json, one process after the other."""
        with self.claims.hold(MANIFEST_CLAIM):
            self._fetch_manifest()
            super().update(change)

    def check_stage(self, stage: Stage, pipeline: Pipeline, facts: Mapping[str, str]) -> None:
        """Make sure that a stage may add to the rows there are, and to those that others make."""
        with self.claims.hold(MANIFEST_CLAIM):
            self._fetch_manifest()
            super().check_stage(stage, pipeline, facts)
            begun = self.membership.member.begun
            if stage not in begun:
                self.membership.change(begun=(*begun, stage))

    def take_in_entries(self, stage: Stage) -> int:
        """Move the entries of a stage's finished shards into run.json; return how many."""
        with self.claims.hold(MANIFEST_CLAIM):
            self.look_again()
            self.refresh()
            return super().take_in_entries(stage)

    def look_again(self, shards: Collection[int] | None = None) -> None:
        """See what others have finished since, of all shards or of these; on a disk that needs no
        doing."""
        if self.mount is not None and shards is None:
            self.mount.refresh()
        elif self.mount is not None and shards:
            self.mount.refresh_shards(shards)

    def look_round(self) -> None:
        """See what others have finished until not long ago: enough to choose what to claim."""
        if self.mount is not None:
            self.mount.refresh_if_due()

    @contextmanager
    def reserve(self, shards: Collection[int], waiting: Waiting) -> Iterator[bool]:
        """Claim all stages of some shards for a block, waiting for those who work on them.

        Nobody closes a stage meanwhile either: that counts rows and moves entries.

        Raises:
            RunLockedError: others have given this worker up.
            StorageError: the shared files cannot be read or written.
        """
        names = [name_shard(stage, shard) for shard in shards for stage in list_stages()]
        names += [name_closing(stage) for stage in list_stages()]
        told: set[str] = set()

        def tell(name: str, token: str) -> None:
            member = self.membership.crew.find_member(token)
            if member is not None and token not in told:
                told.add(token)
                waiting.tell(
                    f"waiting until pid {member.holder.pid} on host {member.holder.host} is done "
                    f"with {name}."
                )

        with ExitStack() as stack:
            for name in names:
                if not stack.enter_context(self.claims.hold(name, waiting.stopped, tell)):
                    yield False
                    return
            self.look_again()
            self.refresh()
            yield True

    def delete_spent_journals(self) -> None:
        """Delete the journals of finished shards that nobody else has in hand.

        And the claims of who was killed between the two: nobody would ever claim such a shard.
        """
        claimed = {claim.shard for claim in iter_claims(self.files) if claim.shard is not None}
        stages = list_stages()
        for stage, shard in sorted(claimed.union(self.list_journals())):
            if stage not in stages:
                continue
            name = name_shard(stage, shard)
            if not self.is_done(stage, shard) or not self.claims.take(name):
                continue
            try:
                if self.is_done(stage, shard):  # still, now that nobody can open it again
                    self.journal(stage, shard).delete()
            finally:
                self.claims.let_go(name)

    def _fetch_manifest(self) -> None:
        """Have run.json as the last who changed it has left it."""
        if self.mount is not None:
            self.mount.fetch_again(self.root / MANIFEST)

    def let_go(self, stage: Stage, shard: int) -> None:
        """Give a shard back that is finished."""
        self.claims.let_go(name_shard(stage, shard))

    def _list_begun(self) -> frozenset[Stage]:
        """Stages that have left anything on disk, or that another worker has begun."""
        others = self.membership.crew.list_others(self.membership.token)
        return super()._list_begun().union(*(member.begun for member in others))

    @property
    def _token(self) -> str | None:
        return None if self._membership is None else self._membership.token

    def _check_lock(self) -> None:
        self.membership.check()


def refuse_other_version(root: Path, others: list[Member]) -> None:
    """Refuse to work with processes of another dfgen, which may write other rows.

    Raises:
        RunMismatchError: names both versions.
    """
    for member in others:
        if member.joined and member.dfgen != VERSION:
            raise RunMismatchError(
                f"this is dfgen {VERSION}, and dfgen {member.dfgen} works on this run (pid "
                f"{member.holder.pid} on host {member.holder.host}).",
                where=str(root),
                hint="Install the same version on all machines.",
            )
