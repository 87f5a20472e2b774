"""Releases of a model of a few kilobytes, promoted in a ledger of their own, and a server of them in this process."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from stillhouse.data.cleaning import normalise
from stillhouse.home import Home
from stillhouse.models.export import export_student
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.recipe.serving import ServingSpec
from stillhouse.records.builds import Artifact, BuildRequest, BuildStore
from stillhouse.records.ledger import Head
from stillhouse.release.bundle import ReleaseRecord, write_bundle
from stillhouse.release.card import CARD, CardRecipe, CardReport, model_card
from stillhouse.release.cascade import CASCADE, Cascade
from stillhouse.release.probe import PROBE, probe_of
from stillhouse.serving.app import Server
from stillhouse.serving.desired import Follower, Slot
from stillhouse.serving.ids import RequestIds
from stillhouse.serving.requests import Feedback, ServedRequest, Shadowed
from stillhouse.serving.tokens import Access, Tokens
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.classifier import build_classifier
from tests.small import Measured
from tests.stillhouse.conftest import LABELS, write_encoder

RECIPE = "small"
_SCORE = {"accuracy": 0.9, "accuracy_interval": [0.85, 0.93], "macro_f1": 0.88, "size_bytes": 1e6}
REPORT: dict[str, Any] = {
    "golden_rows": 100, "teacher": _SCORE, "student": _SCORE, "claims": [], "slices": [], "per_class": [],
}  # fmt: skip
ODD = [
    "Who  was the king\tof \u200bSpain ?", "où est né Beethoven ?", "e\u0301te\u0301", "a\u00adb\x1cc\x85d", "x" * 900,
    "\u202ehidden\u202c", "\U0001f469\u200d\U0001f680 flies", "ﬁre m²", " \u3000 wide \u2028 lines \r\n end ",
    "\x07bell",
]  # fmt: skip


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory, questions: tuple[list[str], list[int]]) -> list[Path]:
    """Three models with other weights in int8, exported as they ship."""
    root = tmp_path_factory.mktemp("exports")
    encoder, found = write_encoder(root / "encoder"), []
    for seed in (1, 2, 3):
        build_classifier(encoder, LABELS, root / f"c{seed}", seed=seed)
        task = SingleLabel(tuple(LABELS))
        export_student(root / f"c{seed}", root / f"e{seed}", questions[0], np.array(questions[1]), task)
        found.append(root / f"e{seed}")
    return found


@dataclass
class Installation:
    """Releases of one recipe, and which of them the ledger says should serve."""

    builds: BuildStore
    exports: Sequence[Path]

    def release(
        self, model: int, recipe: str = RECIPE, probed: int | None = None, cascade: Cascade | None = None
    ) -> Artifact:
        """Publish a release of one of the models, with the answers of one of them, itself, as its probe."""
        answers_of = model if probed is None else probed

        def build(folder: Path) -> Measured:
            recipe_json = {
                "task": "Route a question.", "data": {"max_characters": 1000, "source": "rows.csv", "licence": "CC0"},
                "teacher": {"training": None},
            }  # fmt: skip
            evidence = {"recipe.json": recipe_json, "report.json": REPORT}
            recipe_on_card, report_on_card = CardRecipe.model_validate(recipe_json), CardReport.model_validate(REPORT)
            given = folder.parent / f"evidence{model}"
            given.mkdir(exist_ok=True)
            for name, content in evidence.items():
                (given / name).write_text(json.dumps(content))
            typed = {"student": f"model{model}", "precision": "int8", "row_kinds": {"real": 1}, "waived": []}
            record = ReleaseRecord.model_validate(dict.fromkeys(ReleaseRecord.model_fields, "x") | typed)
            named = [given / name for name in evidence]
            asked, task = OnnxClassifier(self.exports[answers_of]), SingleLabel(tuple(LABELS))
            texts = [f"who is king {number} ?" for number in range(5)]
            probe = probe_of(texts, asked.logits(texts) * 100, task)  # weights by chance are sure of nothing
            logits = tuple(tuple(value / 100 for value in row) for row in probe.logits)
            exact = probe.model_copy(update={"logits": logits})
            write_bundle(
                folder, record, model=self.exports[model], evidence=named, head=Head(1, "h" * 64),
                written={
                    PROBE: exact.model_dump_json(),
                    CARD: model_card(recipe_on_card, report_on_card, record, LABELS, max_tokens=64),
                    **({} if cascade is None else {CASCADE: cascade.model_dump_json()}),
                },
            )  # fmt: skip
            return Measured({"export": f"model{model}"})

        said = None if cascade is None else cascade.model_dump(mode="json")
        about = {"model": model, "probed": probed, "cascade": said}
        return self.builds.make(BuildRequest(recipe, "release", "run", "v", about), build)

    def promote(
        self, model: int, recipe: str = RECIPE, probed: int | None = None, cascade: Cascade | None = None
    ) -> Artifact:
        """Have the ledger say that a release of one of the models serves."""
        made = self.release(model, recipe, probed, cascade)
        body = {"digest": made.digest, "manifest": made.identity, "student": f"model{model}", "before": None}
        self.builds.ledger.append("promotion", recipe, body)
        return made

    def expected(self, model: int, texts: Sequence[str]) -> list[tuple[str, float]]:
        """Label and confidence as `stillhouse predict` gives them, text by text by the same calls."""
        spelled = pl.Series("text", texts).to_frame().select(normalise(pl.col("text")))["text"].to_list()
        asked = OnnxClassifier(self.exports[model])
        logits, task = asked.logits(spelled), SingleLabel(tuple(LABELS))
        confidence = task.confidence(logits, asked.temperature).tolist()
        return list(zip(task.written(task.answers(logits)), confidence, strict=True))


@pytest.fixture
def installation(builds: BuildStore, exports: list[Path]) -> Installation:
    return Installation(builds, exports)


class KeptRows(list[ServedRequest | Feedback | Shadowed]):
    """A log in memory."""

    received = stored = dropped = thinned = depth = 0
    kept_share = 1.0
    is_writable = True
    problem: str | None = None
    put = list.append


@dataclass
class Served:
    """A server in this process: its slot, what follows the ledger, a client, and the rows that it kept."""

    installation: Installation
    slot: Slot
    follower: Follower
    tokens: Tokens
    client: TestClient
    kept: KeptRows

    def predict(self, **body: Any) -> httpx.Response:
        return self.client.post(f"/v1/{RECIPE}/predict", json=body)

    def feedback(self, **body: Any) -> httpx.Response:
        return self.client.post(f"/v1/{RECIPE}/feedback", json=body)


@dataclass
class WholeQuestions:
    """A server as a connection asks it whose questions come whole (connections.py), as ASGI again."""

    server: Server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", scope["type"] == "http" and scope["method"] == "POST"
        at_once = self.server.at_once(scope["path"].encode(), scope["headers"]) if more else None
        if at_once is None:
            await self.server(scope, receive, send)
            return
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        answering = at_once(body)
        while True:
            try:
                assert answering.send(None) is None, "it waits for more than a turn of the loop"
            except StopIteration as ended:
                response, id = ended.value
                break
            await asyncio.sleep(0)
        await response.send(send, id)


BOTH_WAYS = pytest.mark.parametrize("served", [False, True], ids=["by a task", "at once"], indirect=True)
"""In which a web server has a question answered."""


@pytest.fixture
def served(installation: Installation, home: Home, request: pytest.FixtureRequest) -> Iterator[Served]:
    """A server of the first model, which is asked as connections do it where BOTH_WAYS says so."""
    installation.promote(0)
    slot = Slot(RECIPE, ServingSpec())
    tokens = Tokens(home.serving)
    follower = Follower(installation.builds, {RECIPE: slot}, tokens, "one")
    follower.look()
    kept = KeptRows()
    server = Server({RECIPE: slot}, RequestIds.of(home.serving), Access(tokens, "127.0.0.1"), {RECIPE: kept})
    asked = WholeQuestions(server) if getattr(request, "param", False) else server
    with TestClient(asked, base_url="http://127.0.0.1:8080") as client:
        yield Served(installation, slot, follower, tokens, client, kept)
