"""A release that answers with numbers: the folder that is handed over and the loaded bundle give what was judged."""

import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stillhouse.models.predictor import OnnxClassifier
from stillhouse.release.bundle import MODEL
from stillhouse.release.probe import TOLERANCE, probe_of, probe_problems
from stillhouse.release.standalone import LOADER, write_standalone
from stillhouse.serving.loaded import LoadedRelease
from stillhouse.tasks.numbers import SPELLING
from tests.stillhouse.numbers import TASK, TEXTS, bundle_of_numbers
from tests.stillhouse.release.test_standalone import RELEASE, sessions_opened

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of_numbers(tmp_path_factory.mktemp("numbers"))


def judged(bundle: Path) -> list[float]:
    logits = np.concatenate([OnnxClassifier(bundle / MODEL).logits([text]) for text in TEXTS])
    return TASK.numbers(TASK.answers(logits)).tolist()


def test_the_exported_folder_gives_the_number_in_its_one_spelling(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write_standalone(bundle, RELEASE, folder)
    assert {path.name for path in folder.iterdir()} == {
        "model.onnx", "tokenizer.json", LOADER, "README.md", "release.json"
    }  # fmt: skip
    command = [sys.executable, "classify.py", *TEXTS]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.splitlines()
    said, texts = zip(*(line.split("\t") for line in ran), strict=True)
    assert list(texts) == TEXTS and all(re.match(SPELLING, number) for number in said)
    assert [float(number) for number in said] == pytest.approx(judged(bundle), abs=1e-4)
    card = (folder / "README.md").read_text()
    assert "a number, from\n10 to 50" in card and "| mean error | 1.5 | 2.5 |" in card and "precision" not in card
    (code,) = [part.split("```")[0] for part in card.split("```python\n")[1:]]
    ran = subprocess.run(
        [sys.executable, "-c", code.replace("a text", TEXTS[0])], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    assert float(ran) == pytest.approx(judged(bundle)[0], abs=1e-4)


def test_whoever_has_the_folder_alone_reads_how_a_pair_is_asked(bundle: Path, tmp_path: Path) -> None:
    """Regression: the card asked for a text, and a document without its query is given a number, too."""
    ranks = shutil.copytree(bundle, tmp_path / "bundle")
    for name, part, more in (
        ("recipe.json", "data", {"query": "question"}),
        ("report.json", "of_ranking", {"at": 5, "queries": 1200, "ndcg": 0.81, "teacher_ndcg": 0.9}),
    ):
        told = json.loads((ranks / name).read_text())
        (ranks / name).write_text(json.dumps({**told, part: {**told.get(part, {}), **more}}))
    write_standalone(ranks, RELEASE, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "pair of query and document a number, from\n10 to 50 in the rows it learned from: ask" in card
    assert card.count("a query [SEP] a document") == 4 and "a text" not in card.partition("The tokenizer")[0]
    assert "| nDCG over 5 places, 1,200 queries | 0.9 | 0.81 |" in card


def test_it_is_opened_as_it_was_judged(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_standalone(bundle, RELEASE, tmp_path / "out")
    opened = sessions_opened(monkeypatch)
    OnnxClassifier(bundle / MODEL)
    runpy.run_path(str(tmp_path / "out" / LOADER))
    as_judged, as_handed_over = opened
    assert as_judged and as_handed_over == as_judged


def test_a_loaded_bundle_answers_with_the_number_as_a_text_and_no_confidence(bundle: Path) -> None:
    release = LoadedRelease(bundle, RELEASE)
    for text, number in zip(TEXTS, judged(bundle), strict=True):
        said = release.answer(text)
        assert re.match(SPELLING, said.label) and float(said.label) == pytest.approx(number, abs=1e-5)
        assert (said.confidence, said.labels) == (None, None)
    assert release.prove() == "4 texts are answered as where it was judged"
    release.warm_up()
    truths = {"10": True, "12.5": True, "9.9": False, "12.50": False, "many": False, "score": False}
    assert {truth: release.can_be_true(truth) for truth in truths} == truths


def test_a_probe_of_numbers_allows_digits_and_no_other_number(bundle: Path) -> None:
    model = OnnxClassifier(bundle / MODEL)
    probe = probe_of(TEXTS, model.logits(TEXTS), TASK)
    for moved, problems in ((TOLERANCE / 2, 0), (2 * TOLERANCE, 1), (1.0, 2)):
        found = probe_problems(probe, lambda text, by=moved: model.logits([text]) + np.float32(by), TASK)
        assert len(found) == problems, found
