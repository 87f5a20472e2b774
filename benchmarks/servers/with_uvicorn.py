"""Nothing but uvicorn: what no application that runs on it can be cheaper than."""

import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from model import Model

Message = dict[str, Any]
model = Model()


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer a text."""
    body, more = b"", True
    while more:
        part = await receive()
        body, more = body + part["body"], part["more_body"]
    label, confidence = model(json.loads(body)["text"])
    answer = json.dumps({"label": label, "confidence": confidence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    port = int(os.environ["PORT"])
    uvicorn.run(
        app,
        port=port,
        http="httptools",
        loop="uvloop",
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
    )
