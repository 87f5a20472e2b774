"""FastAPI, with an `async def`, as fast as it can: a plain `def` would go through a pool of threads."""

import os

import uvicorn
from fastapi import FastAPI
from model import Model
from pydantic import BaseModel

app, model = FastAPI(), Model()


class Question(BaseModel):
    """A text."""

    text: str


class Answer(BaseModel):
    """What is said of it."""

    label: str
    confidence: float


@app.post("/predict")
async def predict(question: Question) -> Answer:
    """Answer a text."""
    label, confidence = model(question.text)
    return Answer(label=label, confidence=confidence)


if __name__ == "__main__":
    port = int(os.environ["PORT"])
    uvicorn.run(
        app, port=port, http="httptools", loop="uvloop", log_level="warning", access_log=False, server_header=False
    )
