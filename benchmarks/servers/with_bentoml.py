"""BentoML with one worker, as its documentation has it; started by `bentoml serve`."""

from typing import Any

import bentoml
from model import Model


@bentoml.service(workers=1)
class Service:
    """One text a request."""

    def __init__(self) -> None:
        self.model = Model()

    @bentoml.api
    def predict(self, text: str) -> dict[str, Any]:
        """Answer a text."""
        label, confidence = self.model(text)
        return {"label": label, "confidence": confidence}
