"""`stillhouse serve` with a network as the teacher: degraded until it has started, then its answers, in its process."""

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stillhouse.models.predictor import TorchClassifier
from stillhouse.records.builds import BuildRequest, BuildStore
from stillhouse.stages.names import MODEL
from stillhouse.tasks.single_label import SingleLabel
from tests.small import Measured, small_recipe
from tests.stillhouse.conftest import LABELS
from tests.stillhouse.serving.cascades import cascade
from tests.stillhouse.serving.conftest import RECIPE, Installation
from tests.stillhouse.serving.server import Running, serving

TEXT = "who is the king ?"


def published(builds: BuildStore, classifier: Path) -> str:
    """The digest of a teacher's artifact."""

    def build(folder: Path) -> Measured:
        shutil.copytree(classifier, folder / MODEL)
        return Measured({})

    return builds.make(BuildRequest(RECIPE, "teacher", "run", "v", {"teacher": 1}), build).digest


def eventually(condition: Any) -> Any:
    deadline = time.monotonic() + 120
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def children(running: Running) -> list[int]:
    listed = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()]
    return [each for each in listed if status(each).get("PPid") == str(running.process.pid)]


def status(process: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:  # it has ended meanwhile
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest.mark.long
def test_a_network_is_started_with_the_first_text_and_ends_with_a_server_that_is_killed(
    installation: Installation, classifier: Path, tmp_path: Path
) -> None:
    calls = {"teacher": {"deadline_ms": 60_000}}
    small_recipe(tmp_path, name=RECIPE, rows=60, cascade={"margin": 0.05}, serving=calls)
    teacher = published(installation.builds, classifier)
    installation.promote(0, cascade=cascade(None, artifact=teacher))
    errors = tmp_path / "errors"
    with serving(RECIPE, tmp_path / "recipes", errors, PYTHONPROFILEIMPORTTIME="1") as running:
        assert children(running) == []
        first = running.ask(RECIPE, text=TEXT)
        assert (first["source"], first["degraded"]) == ("student", True)
        said = eventually(lambda: (answer := running.ask(RECIPE, text=TEXT))["source"] == "teacher" and answer)
        logits = TorchClassifier(classifier).logits([TEXT])
        task = SingleLabel(tuple(LABELS))
        assert said["label"] == task.written(task.answers(logits))[0] and said["degraded"] is False
        np.testing.assert_allclose(said["confidence"], task.confidence(logits)[0], atol=1e-5)
        (child,) = children(running)
        maps = Path(f"/proc/{running.process.pid}/maps").read_text()
        assert "libtorch" not in maps and "libtorch" in Path(f"/proc/{child}/maps").read_text()
        running.kill()
        eventually(lambda: status(child).get("State", "Z").startswith("Z"))  # ended, waited for or not
    assert TEXT not in errors.read_text()
