"""Sends a release of 230 files: python send_many.py REPO FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

from dfgen.export.manifest import DatasetManifest
from dfgen.publish.hub import open_hub
from dfgen.publish.options import PublishOptions
from dfgen.publish.release import collect_release
from dfgen.publish.sending import send_release
from dfgen.publish.verifying import verify_checksums


def main(repo_id: str, folder: Path) -> None:
    (folder / "groups").mkdir(parents=True)
    for index in range(228):
        path = folder / f"groups/train-{index:05d}-of-00228.parquet"
        path.write_bytes(b"PAR1 %d" % index)
    (folder / "README.md").write_text("# Many\n")
    (folder / "dfgen.json").write_text("{}")
    manifest = DatasetManifest(name="many", run_created="", tokenizer={}, tables={})
    release = collect_release(folder, manifest)
    hub = open_hub(repo_id)
    hub.create_repo(private=False)
    sent = send_release(hub, release, PublishOptions(repo_id), print)
    verify_checksums(hub, release, sent.commit)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
