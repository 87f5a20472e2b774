"""Reports and Data Docs in the browser, beside the UI.

Belongs here: serving files of the reports folder, and what a browser may do with them.
Does not: who may ask (guard.py, which stands before it), writing them (assets/, checks/), their address
(assets/links.py).

A report quotes rows, which anybody may have written. So its page runs no script, loads nothing from elsewhere, and is
of no origin: were something to slip through, it could ask the UI for nothing.
"""

from http import HTTPStatus
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assets.links import REPORTS_AT

POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'; sandbox allow-popups"
)


class WithReports:
    """ASGI application that serves the reports folder, and leaves everything else to another one.

    Args:
        app: the webserver.
        folder: of the reports; it need not be there yet.
    """

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        self._app, self._folder = app, folder
        self._files = StaticFiles(directory=folder, check_dir=False)  # refuses what is not below, links out of it too

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] != "http" or not f"{scope['path']}/".startswith(f"{REPORTS_AT}/"):
            await self._app(scope, receive, send)
            return
        inner = {**scope, "path": scope["path"].removeprefix(REPORTS_AT), "root_path": ""}
        try:
            if not self._folder.is_dir():
                raise HTTPException(HTTPStatus.NOT_FOUND)
            await self._files(inner, receive, _contained(send))
        except HTTPException as error:
            await PlainTextResponse(f"{error.detail}\n", error.status_code)(scope, receive, send)


def _contained(send: Send) -> Send:
    async def send_contained(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["content-security-policy"] = POLICY
            headers["x-content-type-options"] = "nosniff"
            headers["referrer-policy"] = "no-referrer"
            headers["cache-control"] = "no-store"  # the next round writes the same name
        await send(message)

    return send_contained
