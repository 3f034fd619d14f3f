"""What strangers may try at `dfgen view`: forged paths, links, floods. Nothing of it gets a row."""

from __future__ import annotations

import json
import random
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.view.serving import serve
from tests.view.test_server import ask, list_rows, origin, post, read_json

SECRET = "only-for-the-owner-of-this-file"
CALM = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
DOTS = ("..", "%2e%2e", ".%2e", "%252e%252e", "..%c0%af", "%uff0e%uff0e", "..;", "....", "..\\")
SLASHES = ("/", "%2f", "%252f", "//", "\\", "%5c", "/./")
ENDS = ("run.json", "masks/part-00000.parquet", "etc/passwd", "secret", "proc/self/environ", "%00")


def read_raw(address: str, data: bytes) -> bytes:
    """What comes back for these bytes, to the end."""
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port), timeout=300) as connection:
        connection.sendall(data)
        found = b""
        while part := connection.recv(65536):
            found += part
    return found


@CALM
@given(st.data())
def test_no_way_of_writing_a_path_leads_to_a_file(address: str, data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.sampled_from(DOTS), min_size=1, max_size=8))
    slash = data.draw(st.sampled_from(SLASHES))
    end = data.draw(st.sampled_from(ENDS))
    base = urlsplit(address).path
    start = data.draw(st.sampled_from(["/", base, f"{base}part/", f"/{base.split('/')[1]}/1/"]))
    path = start + slash.join([*parts, end])
    host = urlsplit(address).netloc
    answer = read_raw(
        address, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    )
    status = int(answer.split(b" ", 2)[1])
    assert status in (400, 404)
    assert b"PAR1" not in answer
    assert b"root:" not in answer
    assert b"pipeline" not in answer


@CALM
@given(
    st.sampled_from(["row", "picture", "where", "part"]),
    st.dictionaries(
        st.sampled_from(["part", "id", "prompt", "number", "size", "text"]),
        st.text(max_size=40) | st.integers().map(str) | st.sampled_from([*DOTS, "0", "1", "\x00"]),
    ),
)
def test_no_forged_question_breaks_the_server(
    address: str, name: str, query: dict[str, str]
) -> None:
    text = "&".join(f"{key}={quote(value, errors='replace')}" for key, value in query.items())
    status, headers, content = ask(address, f"{name}?{text}")
    assert status in (200, 400, 404)
    assert headers["x-content-type-options"] == "nosniff"
    if status == 200 and name != "part":
        assert json.loads(content) in ({"part": None}, {"url": None}) or "id" in query


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "127.0.0.1.evil.example:80"},
        {"Host": "localhost.evil.example"},
        {"Host": "127.0.0.1:1"},
        {"Host": "[::1]:80"},
        {"Host": "0.0.0.0"},
        {"Origin": "https://127.0.0.1"},
        {"Origin": "http://localhost"},
        {"Origin": "file://"},
        {"Sec-Fetch-Site": "nonsense"},
        {"Sec-Fetch-Site": ""},
    ],
)
def test_hosts_and_sites_that_look_like_ours_are_refused(
    address: str, headers: dict[str, str]
) -> None:
    for path in ("", "state", "part?part=0"):
        assert ask(address, path, headers=headers)[0] == 403


def test_two_hosts_in_one_request_are_refused(address: str) -> None:
    parts = urlsplit(address)
    for second in ("evil.example", parts.netloc):
        head = f"GET {parts.path}state HTTP/1.1\r\nHost: {parts.netloc}\r\nHost: {second}\r\n"
        assert (
            b" 400 "
            in read_raw(address, f"{head}Connection: close\r\n\r\n".encode()).split(b"\r\n")[0]
        )


@CALM
@given(st.data())
def test_a_token_that_is_nearly_right_is_wrong(address: str, data: st.DataObject) -> None:
    token = urlsplit(address).path.split("/")[1]
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(
        st.sampled_from([token[:place], token[:place] + "x" + token[place:], token.swapcase()])
        | st.characters(min_codepoint=33).map(lambda c: token[:place] + c + token[place + 1 :])
    )
    if other != token:
        path = f"/{quote(other, errors='replace')}/0/state"
        status, _, content = ask(address, path)
        assert status in (400, 404)
        assert b"parts" not in content


def test_links_inside_a_run_are_not_followed_out_of_it(viewed_root: Path, tmp_path: Path) -> None:
    """Whoever hands over a run may have put links where tables and pictures are."""
    root = shutil.copytree(viewed_root, tmp_path / "linked")
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    (root / "masks" / "part-00001.parquet").unlink()
    (root / "masks" / "part-00001.parquet").symlink_to(secret)
    (root / "masks" / "part-00007.parquet").symlink_to("/etc/passwd")
    (root / "notes.txt").symlink_to(secret)
    with serve(tmp_path / "marks.jsonl", root) as address:
        for path in (
            "state",
            "part?part=1",
            "part?part=7",
            "notes.txt",
            "numbers",
            "search?text=a",
        ):
            _, _, content = ask(address, path)
            assert SECRET.encode() not in content
            assert b"root:" not in content
        assert ask(address, "part?part=1")[0] in (404, 500)
        assert ask(address, "part?part=0")[0] == 200, "the other shards are there"


def test_huge_requests_are_refused_and_the_next_one_is_answered(
    address: str, viewed_root: Path
) -> None:
    assert ask(address, "search?text=" + "x" * 100_000)[0] in (400, 414, 431)
    assert ask(address, "state", headers={"X-Long": "x" * 100_000})[0] in (400, 431)
    assert ask(address, "search?text=" + "+".join(["a"] * 2000))[0] == 200
    many = "&".join(f"id={number}" for number in range(500))
    assert ask(address, f"where?{many}")[0] == 200
    name = list_rows(viewed_root)[0]
    deep = '{"trajectory_id": ' + json.dumps(name) + ', "note": ' + "[" * 50_000 + "}"
    given = {"Content-Type": "application/json", "Origin": origin(address)}
    assert ask(address, "mark", "POST", deep, given)[0] == 400
    assert post(address, {"trajectory_id": name, "mask": "good_mask"}) == 200
    assert read_json(address, "state")["total"] > 0


def test_connections_that_say_nothing_hold_up_nobody(address: str) -> None:
    parts = urlsplit(address)
    idle = [socket.create_connection((parts.hostname, parts.port)) for _ in range(200)]
    try:
        for connection in idle[::2]:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert read_json(address, "state")["total"] > 0
    finally:
        for connection in idle:
            connection.close()


def test_many_questions_at_once_get_the_answers_of_one(viewed_root: Path, tmp_path: Path) -> None:
    """A cold server asked by many threads: each answer is the one that a calm server gives."""
    paths = [
        "state",
        *(f"part?part={n}" for n in range(3)),
        "search?text=counting",
        "search?text=a",
    ]
    paths += [f"where?id={name}" for name in list_rows(viewed_root)[::60]]
    with serve(tmp_path / "one.jsonl", viewed_root) as address:
        calm = {path: ask(address, path)[2] for path in paths}
    asked = paths * 12
    random.Random(0).shuffle(asked)
    with serve(tmp_path / "two.jsonl", viewed_root) as address, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda path: ask(address, path), asked))
    for path, (status, _, content) in zip(asked, answers, strict=True):
        assert (status, content) == (200, calm[path])
