"""`dfgen repair` through proxies, with paths in base URLs, and over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dfgen.store.counts import count_reject_reasons
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.faults.command import find_in_files, repair, repair_here, write_pipeline
from tests.faults.server import Sampled, Script
from tests.support.loopback import LoopbackServer, find_closed_port
from tests.support.proxy import LoopbackProxy
from tests.support.tls import Certificates, SecureServer, make_certificates

PASSWORD = "pr0xy-passw0rd-31415"
KEY = "sk-network-27182818"
PATIENT = {"max_retries": 6}
#: Waits for another try before a run ends "at once": none, or the first of each request in flight.
FIRST = {0}


def check_repaired(root: Path, script: Script) -> None:
    """Every wrong answer is repaired and was paid for once."""
    run = Run.open_or_create(root, None)
    assert audit(run) == []
    assert set(count_reject_reasons(run)["repair"]) <= {"truncated"}
    assert set(script.paid.values()) == {1}


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_requests_go_through_the_proxy(name: str, copied: Sampled, tmp_path: Path) -> None:
    script = Script(copied.ideal)
    with LoopbackServer(script) as server, LoopbackProxy() as proxy:
        pipeline = write_pipeline(tmp_path / "p.yaml", server.url)
        repair_here(pipeline, copied.root, **{name: proxy.url})
        assert proxy.seen == [f"POST {server.url}/chat/completions"] * server.count
    check_repaired(copied.root, script)


def test_a_password_of_the_proxy_is_used_and_never_seen(copied: Sampled, tmp_path: Path) -> None:
    script = Script(copied.ideal)
    with LoopbackServer(script) as server, LoopbackProxy(f"agent:{PASSWORD}") as proxy:
        pipeline = write_pipeline(tmp_path / "p.yaml", server.url)
        said = repair_here(pipeline, copied.root, HTTP_PROXY=proxy.url)
        assert len(proxy.seen) == server.count > 0
    check_repaired(copied.root, script)
    assert PASSWORD not in said
    assert find_in_files(copied.root, PASSWORD) == []


@pytest.mark.parametrize("debug", [(), ("--debug",)], ids=["", "debug"])
@pytest.mark.parametrize("trouble", ["login", "gone"])
def test_a_proxy_that_does_not_work_ends_the_run_at_once(
    trouble: str, debug: tuple[str, ...], copied: Sampled, tmp_path: Path, waits: list[int]
) -> None:
    script = Script(copied.ideal)
    with LoopbackServer(script) as server, LoopbackProxy("agent:another") as proxy:
        port = find_closed_port() if trouble == "gone" else proxy.plain_url.rpartition(":")[2]
        address = f"http://agent:{PASSWORD}@127.0.0.1:{port}"
        pipeline = write_pipeline(tmp_path / "p.yaml", server.url, engine=PATIENT)
        said = repair_here(pipeline, copied.root, *debug, code=1, HTTP_PROXY=address)
        assert set(waits) <= FIRST
        assert server.count == 0
        assert proxy.refused <= 4
        assert "same command" in said
        # The way out is a good proxy, or none.
        repair_here(pipeline, copied.root, HTTP_PROXY=address, NO_PROXY="127.0.0.1")
    check_repaired(copied.root, script)
    assert PASSWORD not in said
    assert find_in_files(copied.root, PASSWORD) == []


def test_a_proxy_that_is_not_spoken_ends_the_run(copied: Sampled, tmp_path: Path) -> None:
    """In a process: it is one that must end, and its limit of time is the test's."""
    script = Script(copied.ideal)
    with LoopbackServer(script) as server:
        pipeline = write_pipeline(tmp_path / "p.yaml", server.url)
        socks = f"socks5://agent:{PASSWORD}@127.0.0.1:{find_closed_port()}"
        said = repair(pipeline, copied.root, code=1, ALL_PROXY=socks)
        assert server.count == 0
        assert "'socks5'" in said and "NO_PROXY" in said and "Traceback" not in said
        assert PASSWORD not in said
        # As the hint says.
        repair_here(pipeline, copied.root, ALL_PROXY=socks, NO_PROXY="127.0.0.1")
    check_repaired(copied.root, script)


@pytest.mark.parametrize("hosts", ["127.0.0.1", "example.com,127.0.0.1", "*"])
def test_no_proxy_is_respected(hosts: str, copied: Sampled, tmp_path: Path) -> None:
    script = Script(copied.ideal)
    with LoopbackServer(script) as server, LoopbackProxy() as proxy:
        pipeline = write_pipeline(tmp_path / "p.yaml", server.url)
        repair_here(pipeline, copied.root, HTTP_PROXY=proxy.url, NO_PROXY=hosts)
        assert proxy.seen == []
    check_repaired(copied.root, script)


@pytest.mark.parametrize("path", ["/gateway/team-7/openai/v1", "/gateway/v1/", "/"])
def test_a_base_url_may_have_any_path(path: str, copied: Sampled, tmp_path: Path) -> None:
    script = Script(copied.ideal)
    with LoopbackServer(script) as server:
        url = server.url.removesuffix("/v1") + path
        repair_here(write_pipeline(tmp_path / "p.yaml", url), copied.root)
        expected = f"{path.rstrip('/')}/chat/completions"
        assert {received.path for received in server.received} == {expected}
    check_repaired(copied.root, script)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certificates]:
    made = make_certificates(tmp_path_factory.mktemp("tls"))
    if made is None:
        pytest.skip("the openssl command is not installed")
    yield made


def test_tls_goes_through_the_proxy_as_a_tunnel(
    certificates: Certificates, copied: Sampled, tmp_path: Path
) -> None:
    script = Script(copied.ideal)
    login = f"agent:{PASSWORD}"
    with SecureServer(script, certificates) as server, LoopbackProxy(login) as proxy:
        pipeline = write_pipeline(tmp_path / "p.yaml", server.url)
        trust = {"SSL_CERT_FILE": str(certificates.authority)}
        said = repair(pipeline, copied.root, HTTPS_PROXY=proxy.url, OPENAI_API_KEY=KEY, **trust)
        port = server.url.split(":")[2].split("/")[0]
        assert set(proxy.seen) == {f"CONNECT 127.0.0.1:{port}"}
        # The login is the proxy's business, the key is the server's.
        assert all("proxy-authorization" not in each.headers for each in server.received)
        assert server.received[0].headers["authorization"] == f"Bearer {KEY}"
    check_repaired(copied.root, script)
    assert PASSWORD not in said and KEY not in said
    assert find_in_files(copied.root, PASSWORD) == find_in_files(copied.root, KEY) == []


def test_a_certificate_that_nobody_trusts_ends_the_run_at_once(
    certificates: Certificates, copied: Sampled, tmp_path: Path, waits: list[int]
) -> None:
    script = Script(copied.ideal)
    with SecureServer(script, certificates) as server:
        pipeline = write_pipeline(tmp_path / "p.yaml", server.url, engine=PATIENT)
        said = repair_here(pipeline, copied.root, code=1, OPENAI_API_KEY=KEY)
        assert set(waits) <= FIRST, "no retries: it will not be trusted later"
        assert "certificate" in said.lower() and server.url in said
        # The way out, which is not to wait for the server.
        assert "SSL_CERT_FILE" in said
        assert "same command" in said and "Traceback" not in said
        assert server.count == 0
        assert KEY not in said
        repair(pipeline, copied.root, SSL_CERT_FILE=str(certificates.authority))
    check_repaired(copied.root, script)


def test_tls_to_a_server_without_it_ends_the_run_at_once(
    copied: Sampled, tmp_path: Path, waits: list[int]
) -> None:
    script = Script(copied.ideal)
    with LoopbackServer(script) as server:
        pipeline = write_pipeline(
            tmp_path / "p.yaml", server.url.replace("http:", "https:"), engine=PATIENT
        )
        said = repair_here(pipeline, copied.root, code=1)
        assert set(waits) <= FIRST
    assert "same command" in said and "Traceback" not in said
