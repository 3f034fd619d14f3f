"""What the loopback Hub answers, request by request."""

from __future__ import annotations

import hashlib
import json
import re
import time
from typing import Any
from urllib.parse import parse_qs

from tests.support.hub_store import Commit, File, Repo, apply_commit, is_large

TOKEN = "hf_" + "t" * 34
USER = "alice"


class Failure(Exception):  # noqa: N818
    """An answer that is an error."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {"X-Error-Message": message, **headers}
        if code:
            self.headers["X-Error-Code"] = code


class HubApi:
    """One method per call; each gives status, headers and body."""

    server: Any
    headers: Any

    def _authorize(self, name: str) -> None:
        given = self.headers.get("authorization")
        if given not in (None, f"Bearer {TOKEN}"):
            raise Failure(401, "Invalid credentials in Authorization header")
        # Whether a bucket may be seen without a token is its own affair.
        if given is None and name != "validate_yaml" and not name.startswith("bucket_"):
            raise Failure(401, "Invalid username or password.")

    def _find(self, repo: str, revision: str | None = None) -> tuple[Repo, Commit]:
        found = self.server.hub.state.repos.get(repo)
        if found is None:
            raise Failure(404, "Repository not found", "RepoNotFound")
        commit = found.resolve(revision or "main")
        if commit is None:
            raise Failure(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found, commit

    # Accounts and repositories

    def whoami(self, **_: Any) -> Any:
        token = {"role": "write", "displayName": "test"}
        return 200, {}, {"type": "user", "name": USER, "orgs": [], "auth": {"accessToken": token}}

    def create_repo(self, body: bytes, **_: Any) -> Any:
        hub, asked = self.server.hub, json.loads(body)
        repo_id = f"{asked.get('organization') or USER}/{asked['name']}"
        answer = {"url": f"{hub.url}/datasets/{repo_id}", "name": repo_id}
        if repo_id in hub.state.repos:
            return 409, {}, {**answer, "error": "You already created this dataset repo"}
        hub.state.create_repo(repo_id, asked.get("visibility") == "private")
        return 200, {}, answer

    def validate_yaml(self, **_: Any) -> Any:
        return 200, {}, {"errors": [], "warnings": []}

    def describe(self, repo: str, revision: str | None = None, **_: Any) -> Any:
        found, commit = self._find(repo, revision)
        siblings = [{"rfilename": path} for path in sorted(commit.files)]
        about = {"_id": "1", "id": repo, "sha": commit.oid, "private": found.private, "tags": []}
        return 200, {}, {**about, "downloads": 0, "likes": 0, "siblings": siblings}

    def refs(self, repo: str, query: dict[str, list[str]], **_: Any) -> Any:
        found, _commit = self._find(repo)
        answer = {
            "branches": list_refs(found.branches, "refs/heads/{}"),
            "tags": list_refs(found.tags, "refs/tags/{}"),
            "converts": [],
        }
        if "include_prs" in query:
            numbers = {str(n): oid for n, oid in found.pull_requests.items()}
            answer["pullRequests"] = list_refs(numbers, "refs/pr/{}")
        return 200, {}, answer

    def tag(self, repo: str, revision: str, body: bytes, **_: Any) -> Any:
        found, commit = self._find(repo, revision)
        name = json.loads(body)["tag"]
        if name in found.tags:
            raise Failure(409, "Tag reference exists already")
        found.tags[name] = commit.oid
        return 200, {}, {}

    def branch(self, repo: str, name: str, body: bytes, **_: Any) -> Any:
        found, commit = self._find(repo, json.loads(body or b"{}").get("startingPoint"))
        if name in found.branches:
            raise Failure(409, "Reference already exists")
        found.branches[name] = commit.oid
        return 200, {}, {}

    # Files

    def tree(self, repo: str, revision: str, query: dict[str, list[str]], **rest: Any) -> Any:
        _repo, commit = self._find(repo, revision)
        folder = f"{rest['folder']}/" if rest.get("folder") else ""
        deep = query.get("recursive", ["false"])[0].lower() == "true"
        hashes = self.server.hub.state.read_xet_hashes()
        entries: dict[str, Any] = {}
        for path, file in sorted(commit.files.items()):
            if not path.startswith(folder):
                continue
            parts = path.removeprefix(folder).split("/")
            for depth in range(1, len(parts) if deep else min(2, len(parts))):
                name = folder + "/".join(parts[:depth])
                entries[name] = {"type": "directory", "oid": "0" * 40, "size": 0, "path": name}
            if deep or len(parts) == 1:
                entries[path] = describe_entry(path, file, hashes)
        if folder and not entries:
            raise Failure(404, f"{folder} does not exist", "EntryNotFound")
        return 200, {"X-Repo-Commit": commit.oid}, list(entries.values())

    def paths_info(self, repo: str, revision: str, body: bytes, **_: Any) -> Any:
        _repo, commit = self._find(repo, revision)
        hashes = self.server.hub.state.read_xet_hashes()
        asked = parse_qs(body.decode()).get("paths", [])
        found = [describe_entry(p, commit.files[p], hashes) for p in asked if p in commit.files]
        return 200, {}, found

    def preupload(self, repo: str, revision: str, body: bytes, **_: Any) -> Any:
        _repo, commit = self._find(repo, revision)
        answer = []
        for asked in json.loads(body)["files"]:
            mode = "lfs" if is_large(asked["path"], asked["size"]) else "regular"
            entry = {"path": asked["path"], "uploadMode": mode, "shouldIgnore": False}
            if asked["path"] in commit.files:
                entry["oid"] = commit.files[asked["path"]].oid
            answer.append(entry)
        return 200, {}, {"files": answer}

    def lfs_batch(self, repo: str, body: bytes, **_: Any) -> Any:
        hub, asked = self.server.hub, json.loads(body)
        if hub.xet:
            raise Failure(400, "this repository takes Xet uploads only")
        self._find(repo)
        objects, transfer = [], "basic"
        for each in asked["objects"]:
            entry: dict[str, Any] = {"oid": each["oid"], "size": each["size"]}
            href = f"{hub.blob_url}/lfs/{each['oid']}"
            if each["oid"] not in hub.state.objects:
                upload: dict[str, Any] = {"href": href}
                if hub.multipart and each["size"] > hub.multipart:
                    transfer = "multipart"
                    parts = -(-each["size"] // hub.multipart)
                    upload["header"] = {"chunk_size": str(hub.multipart)}
                    upload["header"] |= {
                        f"{n:05d}": f"{href}/part/{n}" for n in range(1, parts + 1)
                    }
                verify = {"href": f"{hub.url}/verify/{repo}"}
                entry["actions"] = {"upload": upload, "verify": verify}
            objects.append(entry)
        return 200, {}, {"transfer": transfer, "objects": objects}

    def verify(self, body: bytes, **_: Any) -> Any:
        asked = json.loads(body)
        stored = self.server.hub.state.objects.get(asked["oid"])
        if stored is None or len(stored) != asked["size"]:
            raise Failure(404, "not uploaded")
        return 200, {}, {}

    def xet_token(self, kind: str, **_: Any) -> Any:
        hub = self.server.hub
        if not hub.xet:
            raise Failure(404, "Not Found")
        folder = hub.state.cas if kind == "write" else hub.state.copy_cas()
        expires = int(time.time()) + 3600
        headers = {"X-Xet-Cas-Url": f"local://{folder}", "X-Xet-Access-Token": "xet"}
        headers["X-Xet-Token-Expiration"] = str(expires)
        body = {"casUrl": f"local://{folder}", "accessToken": "xet", "exp": expires}
        return 200, headers, body

    def commit(
        self, repo: str, revision: str, query: dict[str, list[str]], body: bytes, **_: Any
    ) -> Any:
        hub = self.server.hub
        found, head = self._find(repo, revision)
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        parent = lines[0]["value"].get("parentCommit")
        if parent is not None and parent != head.oid:
            raise Failure(412, "A commit has happened since. Please refresh and try again.")
        made = apply_commit(hub.state, found, head, lines)
        if isinstance(made, str):
            raise Failure(400, made)
        answer = {"success": True, "commitOid": made.oid}
        answer["commitUrl"] = f"{hub.url}/datasets/{repo}/commit/{made.oid}"
        if query.get("create_pr"):
            number = len(found.pull_requests) + 1
            found.pull_requests[number] = made.oid
            answer["pullRequestUrl"] = f"{hub.url}/datasets/{repo}/discussions/{number}"
        elif revision.startswith("refs/pr/"):
            found.pull_requests[int(revision.rpartition("/")[2])] = made.oid
        else:
            found.branches[revision] = made.oid
        return 200, {}, answer

    def resolve(self, repo: str, revision: str, path: str, **_: Any) -> Any:
        hub = self.server.hub
        _repo, commit = self._find(repo, revision)
        headers = {"X-Repo-Commit": commit.oid}
        file = commit.files.get(path)
        if file is None:
            raise Failure(404, "Entry not found", "EntryNotFound", **headers)
        if file.data is not None:
            return self._send_range(file.data, {**headers, "ETag": f'"{file.etag}"'})
        headers |= {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(file.size)}
        headers["Location"] = f"{hub.blob_url}/lfs/{file.sha256}"
        xet_hash = hub.state.read_xet_hashes().get(file.sha256 or "")
        if xet_hash:
            headers["X-Xet-Hash"] = xet_hash
            token = f"{hub.url}/api/datasets/{repo}/xet-read-token/{commit.oid}"
            headers["Link"] = f'<{token}>; rel="xet-auth"'
        return 302, headers, {}

    def _serve_blob(self, method: str, path: str, body: bytes) -> Any:
        objects = self.server.hub.state.objects
        _, _, oid, *rest = path.split("/")
        if method == "PUT":
            if self.headers.get("authorization"):
                raise Failure(400, "the token was sent to the storage")
            if rest:
                objects[f"{oid}/{rest[1]}"] = body
                return 200, {"ETag": f'"{rest[1]}"'}, {}
            return self._store(oid, body)
        if method == "POST":
            parts = sorted(json.loads(body)["parts"], key=lambda part: part["partNumber"])
            return self._store(oid, b"".join(objects[f"{oid}/{p['partNumber']}"] for p in parts))
        if oid not in objects:
            raise Failure(404, "no such object")
        return self._send_range(objects[oid], {"ETag": f'"{oid}"'})

    def _store(self, oid: str, data: bytes) -> Any:
        if hashlib.sha256(data).hexdigest() != oid:
            raise Failure(400, "the content is not what its name says")
        self.server.hub.state.objects[oid] = data
        return 200, {}, {}

    def _send_range(self, data: bytes, headers: dict[str, str]) -> Any:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range") or "")
        headers = {**headers, "Accept-Ranges": "bytes"}
        if not asked:
            return 200, {**headers, "Content-Length": str(len(data))}, data
        start = int(asked[1])
        end = min(int(asked[2] or len(data) - 1), len(data) - 1)
        headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
        return 206, headers, data[start : end + 1]


def list_refs(refs: dict[str, str], pattern: str) -> list[dict[str, str]]:
    return [
        {"name": name, "ref": pattern.format(name), "targetCommit": oid}
        for name, oid in refs.items()
    ]


def describe_entry(path: str, file: File, xet_hashes: dict[str, str]) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": file.size, "oid": file.git_sha1}
    if file.sha256:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": 134}
        if file.sha256 in xet_hashes:
            entry["xetHash"] = xet_hashes[file.sha256]
    return entry


_REPO = r"/datasets/(?P<repo>[^/]+/[^/]+)"
_REVISION = r"(?P<revision>[^/]+)"
ROUTES = (
    ("GET", r"/api/whoami-v2", "whoami"),
    ("POST", r"/api/repos/create", "create_repo"),
    ("POST", r"/api/validate-yaml", "validate_yaml"),
    ("GET", rf"/api{_REPO}", "describe"),
    ("GET", rf"/api{_REPO}/revision/{_REVISION}", "describe"),
    ("GET", rf"/api{_REPO}/refs", "refs"),
    ("POST", rf"/api{_REPO}/tag/{_REVISION}", "tag"),
    ("POST", rf"/api{_REPO}/branch/(?P<name>[^/]+)", "branch"),
    ("GET", rf"/api{_REPO}/tree/{_REVISION}(?:/(?P<folder>.+))?", "tree"),
    ("POST", rf"/api{_REPO}/paths-info/{_REVISION}", "paths_info"),
    ("POST", rf"/api{_REPO}/preupload/{_REVISION}", "preupload"),
    ("POST", rf"/api{_REPO}/commit/{_REVISION}", "commit"),
    ("GET", rf"/api{_REPO}/xet-(?P<kind>write|read)-token/.+", "xet_token"),
    ("POST", rf"{_REPO}\.git/info/lfs/objects/batch", "lfs_batch"),
    ("POST", r"/verify/.+", "verify"),
    ("GET|HEAD", rf"{_REPO}/resolve/{_REVISION}/(?P<path>.+)", "resolve"),
)
