"""LitServe with one worker, as its documentation has it."""

import os
from typing import Any

import litserve
from model import Model


class Api(litserve.LitAPI):
    """One text a request."""

    def setup(self, device: str) -> None:
        """Load the model."""
        self.model = Model()

    def decode_request(self, request: dict[str, str]) -> str:
        """The text."""
        return request["text"]

    def predict(self, x: str) -> tuple[str, float]:
        """Ask the model."""
        return self.model(x)

    def encode_response(self, output: tuple[str, float]) -> dict[str, Any]:
        """What is said of it."""
        return {"label": output[0], "confidence": output[1]}


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False, log_level="warning")
