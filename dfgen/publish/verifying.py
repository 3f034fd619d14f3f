"""Looks whether the Hub holds, and gives to others, what was sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

from dfgen.errors import PublishError
from dfgen.publish.hub import Hub
from dfgen.publish.release import Release

_KEPT_LINES = 6


def verify_checksums(hub: Hub, release: Release, commit: str) -> None:
    """Compare the Hub's checksum of every file with the local one.

    Raises:
        PublishError: names the files that differ.
    """
    remote = hub.read_files([file.path for file in release.files], commit)
    wrong = [file.path for file in release.list_missing(remote)]
    if wrong:
        raise PublishError(
            f"{len(wrong)} files on the Hub are not those that were sent: {', '.join(wrong[:5])}.",
            where=f"{hub.repo_id}@{commit}",
            hint="Give the same command again; only those files are sent.",
        )


def verify_round_trip(hub: Hub, release: Release, commit: str) -> None:
    """Load every table as a stranger would, and compare rows and masks.

    In a process of its own with an empty cache: `load_dataset` falls back to whatever the cache
    holds when the Hub answers with an error, and then everything looks fine.

    Raises:
        PublishError: it does not load, or loads something else.
    """
    expected = {
        name: {"rows": table.rows, "trajectories": table.trajectories, "masks": table.masks_sha256}
        for name, table in release.manifest.tables.items()
    }
    found = load_elsewhere(hub, list(expected), commit)
    for config, wanted in expected.items():
        if found.get(config) != wanted:
            raise PublishError(
                f"the table {config} loads as {found.get(config)}, but {wanted} was published.",
                where=f"{hub.repo_id}@{commit}",
                hint="Please report this: the files are right, what `datasets` makes of them is "
                "not.",
            )


def load_elsewhere(hub: Hub, configs: list[str], commit: str) -> dict[str, object]:
    """Return rows, trajectories and mask digest of each table, as a fresh process loads them."""
    with tempfile.TemporaryDirectory(prefix="dfgen-verify-") as home:
        environment = {
            name: value
            for name, value in os.environ.items()
            # Other caches than that of HF_HOME would not be fresh.
            if name not in ("HF_HUB_CACHE", "HF_DATASETS_CACHE", "HUGGINGFACE_HUB_CACHE")
        }
        environment |= {"HF_HOME": home, "HF_ENDPOINT": hub.api.endpoint}
        token = find_token()
        if token is not None:
            environment["HF_TOKEN"] = token
        command = [sys.executable, "-m", "dfgen.publish.round_trip", hub.repo_id, commit]
        result = subprocess.run(
            [*command, *configs],
            env=environment,
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
        )
    if result.returncode:
        tail = "\n  ".join(result.stderr.strip().splitlines()[-_KEPT_LINES:])
        raise PublishError(
            f"the published data does not load:\n  {tail}",
            where=f"{hub.repo_id}@{commit}",
            hint="Files and checksums on the Hub are right. Was it the network? Give the same "
            "command again: it only verifies and tags.",
        )
    found: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return found


def find_token() -> str | None:
    """Find the token of the environment or of `hf auth login` (the new process sees no file)."""
    from huggingface_hub import get_token

    return get_token()
