"""What the loopback Hub answers about Storage Buckets, request by request.

Contents go to the store of Xet, and the Hub keeps a name, a hash and two times of each file, as
the real one does. It learns the size of a file from the store alone.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from tests.support.hub_api import Failure, HubApi
from tests.support.hub_store import Bucket, Entry


class HubBuckets(HubApi):
    """One method per call about a bucket; each gives status, headers and body."""

    def _find_bucket(self, bucket: str) -> Bucket:
        found: Bucket | None = self.server.hub.state.buckets.get(bucket)
        anonymous = self.headers.get("authorization") is None
        if anonymous and (found is None or found.private):
            raise Failure(401, "Invalid username or password.")
        if found is None:
            raise Failure(404, "Bucket not found", "RepoNotFound")
        return found

    def bucket_info(self, bucket: str, **_: Any) -> Any:
        found = self._find_bucket(bucket)
        sizes = [each.size for each in found.files.values()]
        about = {"id": bucket, "private": found.private, "createdAt": format_time(0)}
        return 200, {}, {**about, "size": sum(sizes), "totalFiles": len(sizes)}

    def bucket_tree(
        self, bucket: str, query: dict[str, list[str]], prefix: str = "", **_: Any
    ) -> Any:
        found = self._find_bucket(bucket)
        assert query["recursive"] == ["true"], "folders are not made up here"
        names = sorted(name for name in found.files if name.startswith(prefix))
        after = query.get("cursor", [""])[0]
        names = [name for name in names if name > after]
        headers = {}
        if len(names) > found.page:
            names = names[: found.page]
            path = self.server.hub.url + f"/api/buckets/{bucket}/tree/{prefix}"
            headers["Link"] = f'<{path}?recursive=true&cursor={names[-1]}>; rel="next"'
        return 200, headers, [describe(name, found.files[name]) for name in names]

    def bucket_paths(self, bucket: str, body: bytes, **_: Any) -> Any:
        found, asked = self._find_bucket(bucket), json.loads(body)["paths"]
        assert len(asked) <= 1000
        return 200, {}, [describe(p, found.files[p]) for p in asked if p in found.files]

    def bucket_batch(self, bucket: str, body: bytes, **_: Any) -> Any:
        found, failed = self._find_bucket(bucket), []
        if self.headers.get("authorization") is None:
            raise Failure(401, "Invalid username or password.")
        lines = [json.loads(line) for line in body.splitlines()]
        assert 0 < len(lines) <= 1000
        sizes = self.server.hub.state.read_xet_sizes()
        for line in lines:
            path, name = line["path"], line.get("xetHash")
            if line["type"] == "deleteFile":
                if found.files.pop(path, None) is None:
                    failed.append({"path": path, "error": "File not found"})
            elif name not in sizes:
                failed.append({"path": path, "error": f"{name} was not uploaded"})
            else:
                now = time.time() + found.clock_s
                found.files[path] = Entry(name, sizes[name], now, line["mtime"] / 1000)
        done = len(lines) - len(failed)
        answer = {"success": not failed, "processed": len(lines), "succeeded": done}
        return 200 if done else 422, {}, {**answer, "failed": failed}

    def bucket_token(self, bucket: str, kind: str, **_: Any) -> Any:
        self._find_bucket(bucket)
        if kind == "write" and self.headers.get("authorization") is None:
            raise Failure(401, "Invalid username or password.")
        url, expires = f"local://{self.server.hub.state.cas}", int(time.time()) + 3600
        headers = {"X-Xet-Cas-Url": url, "X-Xet-Access-Token": "xet"}
        headers["X-Xet-Token-Expiration"] = str(expires)
        return 200, headers, {"casUrl": url, "accessToken": "xet", "exp": expires}


def describe(path: str, entry: Entry) -> dict[str, Any]:
    """What a listing says of a file."""
    times = {"mtime": format_time(entry.written), "uploadedAt": format_time(entry.uploaded)}
    return {"type": "file", "path": path, "size": entry.size, "xetHash": entry.xet_hash, **times}


def format_time(seconds: float) -> str:
    """As the Hub writes a time."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


_BUCKET = r"/api/buckets/(?P<bucket>[^/]+/[^/]+)"
BUCKET_ROUTES = (
    ("GET", _BUCKET, "bucket_info"),
    ("GET", rf"{_BUCKET}/tree(?:/(?P<prefix>.+))?", "bucket_tree"),
    ("POST", rf"{_BUCKET}/paths-info", "bucket_paths"),
    ("POST", rf"{_BUCKET}/batch", "bucket_batch"),
    ("GET", rf"{_BUCKET}/xet-(?P<kind>write|read)-token", "bucket_token"),
)
