"""Answers the page of `dfgen view`, and nobody else.

It listens on 127.0.0.1. Any program of this machine, and through DNS rebinding any web page, can
reach that, so every address begins with a random token, the `Host` must be this machine's name,
and a browser that says a request comes from another site is refused. No file is served: answers are
made from the tables of the run. The one thing it writes is the file of marks.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from dfgen.errors import DfgenError, InputError
from dfgen.report.embedding import write_json
from dfgen.report.html import fill_page
from dfgen.view.marks_file import Mark, MarksFile
from dfgen.view.viewed_run import ViewedRun

LARGEST_REQUEST = 1 << 20
PATIENCE_S = 0.3
"""Given to answers that are being made when the server ends: a mark is kept in less."""
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_FRAMES = "; frame-ancestors 'none'"
_SAME_SITE = ("same-origin", "none")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Viewer:
    """What is served: one run or two, and the marks of one person.

    Attributes:
        runs: the first is the one that marks are about.
        marks: where they are kept.
        judge: name of the person.
        token: the secret first part of every address.
        hosts: values of `Host` that are answered; set when the port is known.
    """

    runs: Sequence[ViewedRun]
    marks: MarksFile
    judge: str = ""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    hosts: frozenset[str] = frozenset()

    def make_app(self) -> web.Application:
        """Make the application; see the module for what it refuses."""
        app = web.Application(middlewares=[self._guard], client_max_size=LARGEST_REQUEST)
        base = "/{token}/{run:[01]}"
        app.router.add_get("/{token}/", self._redirect)
        app.router.add_get(f"{base}/", self._show_page)
        for name, handler in _READERS.items():
            app.router.add_get(f"{base}/{name}", self._answer(handler))
        app.router.add_get(f"{base}/marks", self._answer(self._read_marks))
        app.router.add_post(f"{base}/mark", self._take_mark)
        return app

    async def start(self, port: int) -> tuple[web.AppRunner, str]:
        """Listen on 127.0.0.1; 0 takes a free port. Returns what to clean up, and the address.

        Raises:
            InputError: the port cannot be had.
        """
        runner = web.AppRunner(self.make_app(), access_log=None, shutdown_timeout=PATIENCE_S)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        try:
            await site.start()
        except OSError as error:
            raise InputError(
                f"cannot listen on port {port}: {os.strerror(error.errno or 0)}.",
                hint="Name another --port, or none: then a free one is taken.",
            ) from None
        port = next(iter(runner.addresses))[1]
        self.hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        return runner, f"http://127.0.0.1:{port}/{self.token}/"

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response: web.StreamResponse
        try:
            self._check(request)
            response = await handler(request)
        except web.HTTPException as error:
            kept = {k: error.headers[k] for k in ("Location",) if k in error.headers}
            response = web.Response(status=error.status, text=error.text, headers=kept)
        except DfgenError as error:
            response = web.Response(status=500, text=str(error))
        response.headers.update(_HEADERS)
        response.headers.setdefault("Content-Security-Policy", f"default-src 'none'{_FRAMES}")
        return response

    def _check(self, request: web.Request) -> None:
        if request.headers.get("Host") not in self.hosts:
            raise web.HTTPForbidden(text="this name is not that of the server")
        origin = request.headers.get("Origin")
        if origin is not None and origin not in {f"http://{host}" for host in self.hosts}:
            raise web.HTTPForbidden(text="another site asks")
        if request.headers.get("Sec-Fetch-Site", "none") not in _SAME_SITE:
            raise web.HTTPForbidden(text="another site asks")
        token = request.match_info.get("token", "")
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            raise web.HTTPNotFound
        if int(request.match_info.get("run", 0)) >= len(self.runs):
            raise web.HTTPNotFound

    async def _redirect(self, _: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(f"/{self.token}/0/")

    async def _show_page(self, request: web.Request) -> web.StreamResponse:
        number = int(request.match_info["run"])
        run = self.runs[number]
        head: dict[str, Any] = {"run": await asyncio.to_thread(run.describe), "judge": self.judge}
        others = [other.finished.run.root.resolve().name for other in self.runs]
        if len(others) > 1:
            head["other"] = {"name": others[1 - number], "base": f"../{1 - number}/"}
        block = f'<script type="application/json" id="head">{write_json(head)}</script>'
        text = fill_page(head["run"]["name"], [block], read_served_scripts())
        data = text.encode(errors="replace")
        policy = text.split('http-equiv="Content-Security-Policy" content="', 1)[1].split('"', 1)[0]
        headers = {"Content-Security-Policy": policy + _FRAMES}
        return web.Response(body=data, content_type="text/html", charset="utf-8", headers=headers)

    def _answer(self, read: Callable[[ViewedRun, Mapping[str, str]], Any]) -> Handler:
        """A handler that works in a thread, so that a long search does not hold up the rest."""

        async def handle(request: web.Request) -> web.StreamResponse:
            run = self.runs[int(request.match_info["run"])]
            found = await asyncio.to_thread(read, run, request.query)
            if found is None:
                raise web.HTTPNotFound
            data = found if isinstance(found, bytes) else write_json(found).encode(errors="replace")
            return web.Response(body=data, content_type="application/json", charset="utf-8")

        return handle

    def _read_marks(self, run: ViewedRun, _: Mapping[str, str]) -> Any:
        return [mark.model_dump() for mark in self.marks.read()] if run is self.runs[0] else []

    async def _take_mark(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Origin") is None or request.content_type != "application/json":
            raise web.HTTPForbidden(text="only the page itself writes marks")
        try:
            given = Mark.model_validate_json(await request.read())
        except ValidationError as error:
            raise web.HTTPBadRequest(text=f"this is no mark: {error.errors()[0]['msg']}") from None
        run = self.runs[int(request.match_info["run"])]
        if run is not self.runs[0]:
            raise web.HTTPForbidden(text="marks are about the first run")
        if await asyncio.to_thread(run.find_part, given.trajectory_id) is None:
            raise web.HTTPNotFound(text="the run has no such trajectory")
        mark = given.model_copy(update={"by": self.judge})
        await asyncio.to_thread(self.marks.add, mark)
        return web.json_response({"kept": True})


def _read_state(run: ViewedRun, _: Mapping[str, str]) -> Any:
    run.refuse_absent()
    total = run.count_rows()
    parts = [[shard, stamp] for shard, stamp in run.list_parts().items()]
    return {"parts": parts, "total": total, "progress": run.describe_progress()}


def _read_part(run: ViewedRun, query: Mapping[str, str]) -> Any:
    try:
        return run.read_part(_read_number(query, "part"))
    except KeyError:
        return None


def _read_row(run: ViewedRun, query: Mapping[str, str]) -> Any:
    return run.read_row(_read_number(query, "part"), query.get("id", ""))


def _read_picture(run: ViewedRun, query: Mapping[str, str]) -> Any:
    part, number = _read_number(query, "part"), _read_number(query, "number")
    whole = query.get("size") == "whole"
    url = run.read_picture(part, query.get("prompt", ""), number, whole=whole)
    return {"url": url}


def _find_row(run: ViewedRun, query: Mapping[str, str]) -> Any:
    return {"part": run.find_part(query.get("id", ""))}


def _search(run: ViewedRun, query: Mapping[str, str]) -> Any:
    return run.search(query.get("text", "")[:1000])


def _read_numbers(run: ViewedRun, _: Mapping[str, str]) -> Any:
    return run.read_numbers()


_READERS = {
    "state": _read_state,
    "part": _read_part,
    "row": _read_row,
    "picture": _read_picture,
    "where": _find_row,
    "search": _search,
    "numbers": _read_numbers,
}


def _read_number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise web.HTTPBadRequest(text=f"{name} is not a number")
    return int(text)


@cache
def read_served_scripts() -> tuple[str, ...]:
    """Read the scripts by which the page asks this server."""
    page = resources.files("dfgen.view")
    return (page.joinpath("page/from_server.js").read_text("utf-8"),)
