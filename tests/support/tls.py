"""Certificates of a self-made authority for 127.0.0.1, and a loopback server that speaks TLS."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.loopback import Answer, LoopbackServer


@dataclass(frozen=True)
class Certificates:
    """Files in PEM: the authority that signed, and the server's certificate with its key."""

    authority: Path
    server: Path
    key: Path


def make_certificates(folder: Path) -> Certificates | None:
    """Make them with the `openssl` command, valid for a day; None where there is none."""
    if shutil.which("openssl") is None:
        return None
    names = ("authority.pem", "authority.key", "server.pem", "server.key", "request.pem")
    authority, authority_key, server, key, request = (folder / name for name in names)
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    _run(
        *("req", "-x509", *new_key, "-keyout", authority_key, "-out", authority, "-days", "1"),
        *("-subj", "/CN=dfgen tests", "-addext", "basicConstraints=critical,CA:TRUE"),
        *("-addext", "keyUsage=critical,keyCertSign"),
    )
    _run("req", *new_key, "-keyout", key, "-out", request, "-subj", "/CN=127.0.0.1")
    extensions = folder / "extensions.txt"
    # From Python 3.13 on, clients want both identifiers (VERIFY_X509_STRICT).
    extensions.write_text(
        "subjectAltName=IP:127.0.0.1,DNS:localhost\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )
    _run(
        *("x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority_key),
        *("-set_serial", "2", "-days", "1", "-extfile", extensions, "-out", server),
    )
    return Certificates(authority, server, key)


def _run(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=300)


class SecureServer(LoopbackServer):
    """A loopback server behind https://.

    Args:
        answer: as of `LoopbackServer`.
        certificates: that it shows.
    """

    def __init__(self, answer: Answer, certificates: Certificates) -> None:
        super().__init__(answer)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.server, certificates.key)
        # The handshake belongs to the connection's thread, not to the one that accepts.
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )

    @property
    def url(self) -> str:
        """The base URL for a client."""
        return super().url.replace("http://", "https://")
