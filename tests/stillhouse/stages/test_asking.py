"""Who has to wait while a teacher is asked, and what is kept of how it is asked."""

from pathlib import Path
from threading import Thread

import polars as pl
import pytest

from stillhouse.recipe.teacher import TeacherKind, TeacherSpec
from stillhouse.records.builds import BuildStore
from stillhouse.stages.asking import capture
from stillhouse.stages.facts import SaidFacts
from stillhouse.teachers.asked import Asking, LabelPrompt
from tests.checks.hand_made import artifact, said_facts, teacher_facts
from tests.protocol import USD_IN, USD_OUT, Server, serving

pytestmark = pytest.mark.long


def test_a_server_is_asked_while_somebody_trains(tmp_path: Path, builds: BuildStore) -> None:
    """Regression: golden rows were asked under the lock of whoever trains, so that all waited for the server."""
    said = pl.DataFrame({"prompt_id": ["v"], "answer": ["A"], "failure": pl.Series([None], dtype=pl.String)})
    said.write_parquet(tmp_path / "answers.parquet")
    asking = Asking("large", "{text}", {"max_tokens": 3}, None, {}, "June")
    facts = teacher_facts(kind=TeacherKind.ENDPOINT, said=said_facts(asking=asking))
    rows = pl.DataFrame({"prompt_id": [f"{n:032x}" for n in range(5)], "text": [f"text {n}" for n in range(5)]})
    with serving(Server(lambda asked: "A")) as server:
        spec = TeacherSpec.model_validate(
            {
                "kind": "endpoint", "source": server.url, "revision": "June", "licence": "its terms",
                "training_on_outputs": "allowed", "reason": "It answers today.", "minimum_accuracy": 0.5,
                "ask": {"model": "large"},
                "endpoint": {"usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT, "usd_at_most": 1.0},
            }
        )  # fmt: skip
        asked = Thread(target=capture, args=(rows, artifact(facts, folder=tmp_path), spec, builds), daemon=True)
        with builds.one_heavy_task():
            asked.start()
            asked.join(timeout=20)
            assert not asked.is_alive() and server.calls == 5


def test_what_was_asked_is_read_back_as_it_was() -> None:
    """Else its digest would be another one, and all be asked again."""
    settings: dict[str, str | int | float | bool] = {"logit_bias": True, "seed": 1, "top_p": 1.0, "stop": "1"}
    server = Asking("large", "{text}", settings, None, {}, "June", choices=("A", "B"))
    for asked in (server, LabelPrompt("w" * 64, "Text: {text}", [" A", " B"], "float32", 32, True)):
        again = SaidFacts.model_validate_json(said_facts(asking=asked).model_dump_json()).asking
        assert again is not None and (type(again), again.digest) == (type(asked), asked.digest)
