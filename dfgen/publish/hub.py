"""Calls the Hugging Face Hub: everything that publishing asks of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dfgen.errors import PublishError
from dfgen.publish.release import LocalFile, RemoteFile
from dfgen.publish.retrying import call_hub, read_status

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PATHS_PER_CALL = 100


@dataclass(frozen=True)
class Hub:
    """One data set repository, reached with the user's own token."""

    api: HfApi
    repo_id: str

    @property
    def url(self) -> str:
        """Its page."""
        return f"{self.api.endpoint}/datasets/{self.repo_id}"

    def create_repo(self, private: bool) -> None:
        """Make the repository, unless it is there."""

        def create() -> Any:
            return self.api.create_repo(
                self.repo_id, repo_type="dataset", private=private, exist_ok=True
            )

        call_hub("create the repository", create)

    def read_head(self, revision: str | None) -> str:
        """Read the commit that a branch, tag or pull request points to."""

        def read() -> Any:
            return self.api.repo_info(self.repo_id, repo_type="dataset", revision=revision).sha

        return str(call_hub("read the state of the repository", read))

    def list_files(self, revision: str) -> dict[str, RemoteFile]:
        """List all files of a commit by path."""

        def read() -> list[Any]:
            entries = self.api.list_repo_tree(
                self.repo_id, recursive=True, revision=revision, repo_type="dataset"
            )
            return [entry for entry in entries if hasattr(entry, "blob_id")]

        return {entry.path: _to_remote(entry) for entry in call_hub("list the files", read)}

    def read_files(self, paths: Sequence[str], revision: str) -> dict[str, RemoteFile]:
        """Some files of a commit by path, asked for by name."""
        found: dict[str, RemoteFile] = {}
        for start in range(0, len(paths), PATHS_PER_CALL):
            part = list(paths[start : start + PATHS_PER_CALL])

            def read(part: list[str] = part) -> list[Any]:
                return self.api.get_paths_info(
                    self.repo_id, part, revision=revision, repo_type="dataset"
                )

            entries = call_hub("read the checksums of the files", read)
            found |= {e.path: _to_remote(e) for e in entries if hasattr(e, "blob_id")}
        return found

    def send_files(
        self, files: Sequence[LocalFile], revision: str | None, create_pr: bool
    ) -> dict[str, Any]:
        """Upload the content of files, unless the Hub has it; the commit comes later.

        Returns the operations to commit, by path.
        """
        from huggingface_hub import CommitOperationAdd

        def send() -> dict[str, Any]:
            # A new operation for each try: an upload address that has expired is asked for again.
            operations = {f.path: CommitOperationAdd(f.path, str(f.source)) for f in files}
            self.api.preupload_lfs_files(
                self.repo_id,
                operations.values(),
                repo_type="dataset",
                revision=revision,
                create_pr=create_pr,
                free_memory=False,
            )
            return operations

        return call_hub(f"upload {files[0].path}", send, also=(RuntimeError,))

    def commit(
        self, operations: Sequence[Any], message: str, parent: str, revision: str | None, pr: bool
    ) -> tuple[str, str | None]:
        """Commit once, without any retry; gives commit and, for a pull request, its ref."""
        info = self.api.create_commit(
            self.repo_id,
            list(operations),
            commit_message=message,
            repo_type="dataset",
            revision=revision,
            create_pr=pr,
            parent_commit=parent,
        )
        if not pr:
            return str(info.oid), None
        return str(info.oid), f"refs/pr/{info.pr_num}"

    def create_branch(self, name: str, start: str) -> None:
        """Make a branch, unless it is there."""

        def create() -> None:
            self.api.create_branch(
                self.repo_id, branch=name, revision=start, repo_type="dataset", exist_ok=True
            )

        call_hub(f"create the branch {name}", create)

    def list_branches(self) -> dict[str, str]:
        """Commit of every branch by name."""
        return {ref.name: ref.target_commit for ref in self._list_refs(False).branches}

    def list_tags(self) -> dict[str, str]:
        """Commit of every tag by name."""
        return {ref.name: ref.target_commit for ref in self._list_refs(False).tags}

    def list_pull_requests(self) -> dict[str, str]:
        """Commit of every pull request by ref (`refs/pr/1`)."""
        refs = self._list_refs(True).pull_requests or []
        return {ref.ref: ref.target_commit for ref in refs}

    def create_tag(self, name: str, commit: str, message: str) -> None:
        """Name a commit.

        Raises:
            PublishError: the tag is there and names another commit.
        """

        def create() -> None:
            try:
                self.api.create_tag(
                    self.repo_id,
                    tag=name,
                    revision=commit,
                    tag_message=message,
                    repo_type="dataset",
                )
            except Exception as error:
                # An answer that got lost on the way leaves a tag that is already ours.
                if read_status(error) != 409 or self.list_tags().get(name) != commit:
                    raise

        call_hub(f"create the tag {name}", create)

    def _list_refs(self, pull_requests: bool) -> Any:
        def read() -> Any:
            return self.api.list_repo_refs(
                self.repo_id, repo_type="dataset", include_pull_requests=pull_requests
            )

        return call_hub("list branches and tags", read)


def open_hub(repo_id: str) -> Hub:
    """Reach the Hub with the token of the environment or of `hf auth login`.

    Raises:
        PublishError: offline mode is on, there is no token, or the Hub does not take it.
    """
    refuse_offline()
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if get_token() is None:
        raise PublishError(
            "there is no token for the Hub.",
            hint="Set HF_TOKEN to a token with the role `write`, or log in with `hf auth login`.",
        )
    disable_progress_bars()
    api = HfApi()
    name = str(call_hub("log in to the Hub", api.whoami)["name"])
    return Hub(api, repo_id if "/" in repo_id else f"{name}/{repo_id}")


def refuse_offline() -> None:
    """Raise `PublishError` if HF_HUB_OFFLINE is on: nothing could come of any work."""
    value = os.environ.get("HF_HUB_OFFLINE", os.environ.get("TRANSFORMERS_OFFLINE", ""))
    if value.upper() in ("1", "ON", "YES", "TRUE"):
        raise PublishError(
            "HF_HUB_OFFLINE is set, so the Hub cannot be reached.",
            hint="Unset it, or look at what would be published with --dry-run.",
        )


def _to_remote(entry: Any) -> RemoteFile:
    lfs = getattr(entry, "lfs", None)
    return RemoteFile(entry.path, entry.blob_id, None if lfs is None else lfs.sha256)
