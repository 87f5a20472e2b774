"""An app for the guard to stand before, and what its own page sends.

It has the routes of Dagster's webserver and answers "reached" to everything.
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

TOKEN = "0123456789abcdef-token"
OWN = {"host": "localhost:3000", "origin": "http://localhost:3000", "content-type": "application/json"}


async def says_reached(request: Request) -> Response:
    return PlainTextResponse(f"reached {request.method} {(await request.body()).decode()}")


async def _socket(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text("reached " + await socket.receive_text())
    except WebSocketDisconnect:
        pass


INNER = Starlette(
    routes=[
        Route("/graphql", says_reached, methods=["GET", "POST"], name="graphql"),
        WebSocketRoute("/graphql", _socket),
        Route("/report_asset_check/{asset_key:path}", says_reached, methods=["POST"], name="report"),
        Route("/{path:path}", says_reached, methods=["GET", "POST", "PUT", "DELETE", "PATCH"], name="page"),
    ]
)
