"""What `dfgen view` answers, and what it refuses."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from dfgen.store.finished import open_finished
from dfgen.view.index import index_shard
from dfgen.view.viewed_run import ViewedRun


def ask(
    address: str,
    path: str = "",
    method: str = "GET",
    body: str | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """Send a request whose headers are exactly these and `Host`."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=300)
    given = {"Host": parts.netloc, **(headers or {})}
    target = path if path.startswith("/") else parts.path + path
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    data = None if body is None else body.encode()
    for name, value in given.items():
        connection.putheader(name, value)
    if data is not None:
        connection.putheader("Content-Length", str(len(data)))
    connection.endheaders(data)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, {k.lower(): v for k, v in response.getheaders()}, content


def read_json(address: str, path: str) -> Any:
    status, _, content = ask(address, path)
    assert status == 200, content
    return json.loads(content)


def origin(address: str) -> str:
    return f"http://{urlsplit(address).netloc}"


def list_rows(root: Path) -> list[str]:
    rows = open_finished(root).run.table("masks").iter_rows(columns=["trajectory_id"])
    return [row["trajectory_id"] for row in rows]


def digest_run(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_the_parts_hold_every_row_once(address: str, viewed_root: Path) -> None:
    state = read_json(address, "state")
    ids = []
    for number, _ in state["parts"]:
        part = read_json(address, f"part?part={number}")
        ids += part["rows"]["id"]
        assert max(part["rows"]["prompt"]) < len(part["prompts"])
    assert ids == list_rows(viewed_root)
    assert state["total"] == len(ids)


def test_the_index_says_what_the_rows_say(viewed_root: Path) -> None:
    finished = open_finished(viewed_root)
    for shard in finished.run.table("masks").shards():
        rows = index_shard(finished, shard)["rows"]
        masks = list(finished.run.table("masks").iter_rows(shard))
        assert rows["tokens"] == [len(mask["loss_mask"]) for mask in masks]
        assert rows["masked"] == [sum(mask["loss_mask"]) for mask in masks]
        assert rows["source"] == [mask["mask_source"] for mask in masks]
        repairs = {
            row["trajectory_id"]: row for row in finished.run.table("repairs").iter_rows(shard)
        }
        for name, attempts, cost in zip(rows["id"], rows["attempts"], rows["cost"], strict=True):
            if name in repairs:
                assert attempts == len(repairs[name]["attempts"])
                assert cost == pytest.approx(sum(a["cost_usd"] for a in repairs[name]["attempts"]))


def test_a_row_and_its_picture_come_in_full(address: str, viewed_root: Path) -> None:
    name = list_rows(viewed_root)[-1]
    part = read_json(address, f"where?id={name}")["part"]
    row = read_json(address, f"row?part={part}&id={name}")
    assert len(row["prompt"]["group"]) == 4
    assert all("mask" in member for member in row["prompt"]["group"])
    assert row["details"]["steps"]
    asked = f"picture?part={part}&prompt={name.rpartition('-')[0]}&number=0&size=whole"
    assert read_json(address, asked)["url"].startswith("data:image/webp;base64,")


def test_a_search_finds_what_a_reader_would(address: str, viewed_root: Path) -> None:
    found = read_json(address, "search?text=COUNTING+gives")
    rows = {
        shard: list(open_finished(viewed_root).run.table("masks").iter_rows(shard))
        for shard in range(3)
    }
    for shard, masks in rows.items():
        expected = [
            place
            for place, mask in enumerate(masks)
            if all(
                any(word in (mask[c] or "").lower() for c in ("completion", "repair", "hunks"))
                for word in ("counting", "gives")
            )
        ]
        assert found[str(shard)] == expected
        assert expected


@pytest.mark.parametrize(
    "path",
    [
        "/", "/state", "/0/state", "/wrong-token/0/", "/wrong-token/0/part?part=0", "/../run.json",
        "1/", "run.json", "../../run.json", "..%2f..%2frun.json", "part/../../run.json",
        "masks/part-00000.parquet", "part?part=99", "row?part=0&id=../../etc/passwd",
        "row?part=0&id=", "row?part=99&id=x",
    ],
)  # fmt: skip
def test_nothing_else_is_served(address: str, path: str) -> None:
    status, headers, content = ask(address, path)
    assert status == 404
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert len(content) < 200


@pytest.mark.parametrize(
    "number", ["-1", "1e3", "", "0x0", "..", "٣", "9" * 30, "0/../../run.json", "%00"]
)
def test_forged_numbers_are_refused(address: str, number: str) -> None:
    assert ask(address, f"part?part={quote(number)}")[0] in (400, 404)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": "127.0.0.1"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_rebound_names_and_other_sites_are_refused(address: str, headers: dict[str, str]) -> None:
    for path in ("", "state", "part?part=0"):
        status, answered, content = ask(address, path, headers=headers)
        assert status == 403
        assert "access-control-allow-origin" not in answered
        assert b"prompt" not in content


def test_the_policy_is_that_of_the_file_and_one_more_word(address: str) -> None:
    status, headers, content = ask(address)
    assert status == 200
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert policy.removesuffix("; frame-ancestors 'none'").encode() in content
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


def post(address: str, body: Any, **headers: str) -> int:
    given = {"Content-Type": "application/json", "Origin": origin(address), **headers}
    return ask(address, "mark", "POST", json.dumps(body), given)[0]


def test_marks_are_the_only_thing_that_is_written(
    address: str, viewed_root: Path, tmp_path: Path
) -> None:
    before = digest_run(viewed_root)
    name = list_rows(viewed_root)[3]
    assert post(address, {"trajectory_id": name, "mask": "good_mask", "by": "somebody"}) == 200
    assert post(address, {"trajectory_id": name, "mask": "wrong_mask", "tokens": [1, 2]}) == 200
    (mark,) = read_json(address, "marks")
    assert (mark["mask"], mark["tokens"], mark["by"]) == ("wrong_mask", [1, 2], "ada")
    lines = (tmp_path / "marks.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["mask"] for line in lines] == ["good_mask", "wrong_mask"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["marks.jsonl"]
    assert digest_run(viewed_root) == before


def test_forged_marks_are_refused(address: str, viewed_root: Path, tmp_path: Path) -> None:
    name = list_rows(viewed_root)[0]
    good = {"trajectory_id": name, "mask": "good_mask"}
    assert post(address, {**good, "trajectory_id": "../../etc/passwd"}) == 404
    assert post(address, {**good, "mask": "<script>"}) == 400
    assert post(address, {**good, "path": "/etc/passwd"}) == 400
    assert post(address, {**good, "note": "x" * 20_000}) == 400
    assert post(address, {**good, "note": "x" * 3_000_000}) == 413
    assert post(address, good, Origin="http://evil.example") == 403
    assert post(address, good, **{"Content-Type": "text/plain"}) == 403
    body, kind = json.dumps(good), {"Content-Type": "application/json"}
    assert ask(address, "mark", "POST", body, kind)[0] == 403  # no origin: not the page
    assert ask(address, "part?part=0", "POST", body, kind)[0] == 404
    assert ask(address, "state", "DELETE")[0] == 404
    assert not (tmp_path / "marks.jsonl").exists()


def test_a_link_in_place_of_the_marks_is_not_followed(viewed_root: Path, tmp_path: Path) -> None:
    from tests.view.serving import serve

    victim = tmp_path / "victim"
    victim.write_text("")
    (tmp_path / "marks.jsonl").symlink_to(victim)
    with serve(tmp_path / "marks.jsonl", viewed_root) as address:
        good = {"trajectory_id": list_rows(viewed_root)[0], "mask": "good_mask"}
        assert post(address, good) == 500
    assert victim.read_text() == ""


def test_tokens_are_long_and_never_the_same(viewed_root: Path, tmp_path: Path) -> None:
    from tests.view.serving import serve

    tokens = set()
    for _ in range(3):
        with serve(tmp_path / "m", viewed_root) as address:
            tokens.add(urlsplit(address).path.split("/")[1])
    assert len(tokens) == 3
    assert all(len(token) >= 32 for token in tokens)


def test_what_a_page_asks_for_first_is_there_by_then(
    viewed_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(shutil.copytree(viewed_root, tmp_path / "run"))
    viewed = ViewedRun(root)
    viewed.prepare()
    with monkeypatch.context() as patch:
        patch.setattr("dfgen.view.viewed_run.index_shard", None)
        first = json.loads(viewed.read_part(0))["rows"]["id"]
    assert first == list_rows(root)[: len(first)] and first
    (root / "masks" / "part-00000.parquet").write_bytes(b"PAR1 no more")
    ViewedRun(root).prepare()  # what is damaged is told when it is asked for


def test_a_row_whose_question_is_gone_is_shown_without(viewed_root: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(viewed_root, tmp_path / "run"))
    shutil.rmtree(root / "prompts")
    viewed = ViewedRun(root)
    first = json.loads(viewed.read_part(0))["rows"]["id"][0]
    row = json.loads(viewed.read_row(0, first) or b"null")
    assert row["details"] and row["prompt"]["pictures"] == []
