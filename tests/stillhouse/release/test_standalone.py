"""The folder that is handed over runs in an interpreter that cannot see Stillhouse, and answers as what was judged."""

import json
import os
import runpy
import subprocess
import sys
import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from scipy.special import softmax
from tokenizers import Tokenizer

from stillhouse.data.cleaning import normalise
from stillhouse.digests import digest_of_file
from stillhouse.errors import StillhouseError
from stillhouse.models.export import export_student
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.models.tokenization import load_tokenizer
from stillhouse.records.ledger import Head
from stillhouse.release import standalone
from stillhouse.release.bundle import MODEL, ReleaseRecord, write_bundle
from stillhouse.release.standalone import LOADER, write_standalone
from stillhouse.tasks.single_label import SingleLabel
from tests.stillhouse.conftest import LABELS

pytestmark = pytest.mark.long

RELEASE = "a1b2" * 16
SCORE = {"accuracy": 0.9, "accuracy_interval": [0.85, 0.93], "macro_f1": 0.88, "size_bytes": 1e6}


def sessions_opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Which optimisers are left out of each session of onnxruntime that is opened from now on."""
    opened, session = list[object](), onnxruntime.InferenceSession

    def recorded(*places: Any, **how: Any) -> Any:
        opened.append(how.get("disabled_optimizers"))
        return session(*places, **how)

    monkeypatch.setattr(onnxruntime, "InferenceSession", recorded)
    return opened


@pytest.fixture(scope="module")
def bundle(classifier: Path, questions: tuple[list[str], list[int]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of a real export; of the evidence, what the card quotes."""
    place = tmp_path_factory.mktemp("standalone")
    export_student(classifier, place / "student", questions[0], np.array(questions[1]), SingleLabel(tuple(LABELS)))
    recipe = {
        "task": "Route <b>questions</b> | fast",
        "data": {"source": "rows.csv", "licence": "CC0"},
        "teacher": {"training": None},
    }
    report: dict[str, Any] = {
        "golden_rows": 1434,
        "teacher": SCORE | {"accuracy": 0.92},
        "student": SCORE,
        "claims": [{"verdict": "pass", "sentence": "accuracy holds", "binding": True}],
        "slices": [
            {
                "name": "a|b", "rows": 9, "teacher_accuracy": 0.9, "student_accuracy": 0.8, "verdict": "fail",
                "critical": False,
            }
        ],
        "per_class": [{"label": label, "rows": 5, "precision": 0.5, "recall": 1.0} for label in LABELS],
    }  # fmt: skip
    for name, content in (("recipe.json", recipe), ("report.json", report)):
        (place / name).write_text(json.dumps(content))
    waiver = {"gate": "prompts:few", "by": "Ann", "reason": "it is known", "until": "2030-01-01"}
    typed = {"precision": "int8", "row_kinds": {"real": 1}, "waived": [waiver]}
    record = ReleaseRecord.model_validate(dict.fromkeys(ReleaseRecord.model_fields, "x") | typed)
    folder = place / "bundle"
    folder.mkdir()
    evidence = [place / "recipe.json", place / "report.json"]
    write_bundle(folder, record, model=place / "student", evidence=evidence, head=Head(7, "h" * 64))
    return folder


@pytest.fixture(scope="module")
def folder(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("out") / "for" / "them"
    write_standalone(bundle, RELEASE, target)
    return target


def test_it_holds_all_that_is_needed_and_the_digest_of_each_file(folder: Path) -> None:
    names = {"model.onnx", "tokenizer.json", "labels.json", LOADER, "README.md"}
    assert {path.name for path in folder.iterdir()} == names | {"release.json"}
    content = json.loads((folder / "release.json").read_text())
    assert content["release"] == RELEASE
    assert content["files"] == {name: digest_of_file(folder / name) for name in names}
    assert json.loads((folder / "labels.json").read_text()) == LABELS


def with_what_they_require(*names: str) -> set[str]:
    """These distributions and all that an installation of them brings."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            required = map(Requirement, requires(name) or ())
            waiting += [canonicalize_name(r.name) for r in required if r.marker is None or r.marker.evaluate()]
    return found


def test_the_loader_answers_as_the_released_model_with_the_three_packages_it_names_alone(
    bundle: Path, folder: Path, questions: tuple[list[str], list[int]]
) -> None:
    texts = [*questions[0][:12], "who\u200b  is\tthe \u200f  king\u00ad ?"]
    # -I leaves out the working directory and PYTHONPATH; what else is installed is taken away by hand.
    there = with_what_they_require("onnxruntime", "tokenizers", "numpy")
    installed = packages_distributions().items()
    absent = sorted(name for name, owners in installed if there.isdisjoint(map(canonicalize_name, owners)))
    assert {"stillhouse", "torch", "transformers", "polars", "scipy"} <= {*absent} and "numpy" not in absent
    hidden = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys({absent})); "
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    said = subprocess.run(
        [sys.executable, "-I", "-c", hidden, str(folder / LOADER), *texts],
        cwd="/", env=dict(os.environ), capture_output=True, text=True, check=True,
    )  # fmt: skip
    released = OnnxClassifier(bundle / MODEL)
    spelled = pl.Series("text", texts).to_frame().select(normalise(pl.col("text")))["text"].to_list()
    shares = softmax(released.logits(spelled) / released.temperature, axis=1)
    lines = [line.split("\t", 2) for line in said.stdout.splitlines()]
    assert [line[0] for line in lines] == [LABELS[place] for place in shares.argmax(axis=1)]
    assert [float(line[1]) for line in lines] == pytest.approx(shares.max(axis=1), abs=0.0006)


def test_it_is_opened_as_it_was_judged(
    bundle: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: with another sum fused an int8 model said 0.0013 else on one processor, and nothing was exported."""
    opened = sessions_opened(monkeypatch)
    OnnxClassifier(bundle / MODEL)
    (as_judged,) = opened
    runpy.run_path(str(folder / LOADER))
    write_standalone(bundle, RELEASE, tmp_path / "again")
    assert as_judged and len(opened) == 4 and all(each == as_judged for each in opened)


def test_its_tokenizer_gives_every_character_the_spelling_that_training_gave_it(bundle: Path, folder: Path) -> None:
    """All of Unicode that has a character or steers one, between two words."""
    characters = [chr(point) for point in range(0x110000) if unicodedata.category(chr(point)) not in ("Cn", "Co", "Cs")]
    texts = [f" who{character}is  {character} " for character in characters]
    spelled = pl.Series("text", texts).to_frame().select(normalise(pl.col("text")))["text"].to_list()
    trained, handed = load_tokenizer(bundle / MODEL), Tokenizer.from_file(str(folder / "tokenizer.json"))
    own = [handed.normalizer.normalize_str(text) for text in texts]
    expected = [trained.normalizer.normalize_str(text) for text in spelled]
    differing = [f"U+{ord(c):04X}" for c, a, b in zip(characters, own, expected, strict=True) if a != b]
    assert not differing, f"{len(differing)}: {differing[:20]}"


def test_the_card_quotes_the_evidence_and_obeys_none_of_it(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    assert "| accuracy | 92.0% (85.0% to 93.0%) | 90.0% (85.0% to 93.0%) |" in card
    assert "# Route &lt;b>questions&lt;/b> \\| fast" in card
    assert "| a\\|b | 9 | 90.0% | 80.0% | fail, reported only |" in card
    assert "- `prompts:few`, by Ann until 2030-01-01: it is known" in card
    assert RELEASE in card


def test_the_five_lines_of_the_card_run(folder: Path, bundle: Path) -> None:
    card = (folder / "README.md").read_text()
    lines = card.partition("```python\n")[2].partition("```")[0]
    said = subprocess.run([sys.executable, "-I", "-c", lines], cwd=folder, capture_output=True, text=True, check=True)
    label, share = said.stdout.split()
    released = OnnxClassifier(bundle / MODEL)
    shares = softmax(released.logits(["a text"])[0] / released.temperature)
    assert (label, float(share)) == (LABELS[shares.argmax()], pytest.approx(shares.max(), abs=1e-5))


def test_what_is_there_already_is_not_overwritten(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(StillhouseError, match="there is something already"):
        write_standalone(bundle, RELEASE, tmp_path / "mine")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "notes.txt"]
    (tmp_path / "empty").mkdir()
    write_standalone(bundle, RELEASE, tmp_path / "empty")
    assert (tmp_path / "empty" / "model.onnx").is_file()


def test_of_two_at_once_one_is_written_whole_and_the_other_is_refused(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)
    move = standalone.move_into_place

    def together(source: Path, target: Path) -> None:
        both.wait()
        move(source, target)

    monkeypatch.setattr(standalone, "move_into_place", together)
    with ThreadPoolExecutor(2) as pool:
        tries = [pool.submit(write_standalone, bundle, RELEASE, tmp_path / "out") for _ in range(2)]
        (refused,) = [each.exception() for each in tries if each.exception() is not None]
    assert isinstance(refused, StillhouseError) and "there is something already" in str(refused)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    content = json.loads((tmp_path / "out" / "release.json").read_text())
    assert all(digest_of_file(tmp_path / "out" / name) == digest for name, digest in content["files"].items())


def test_a_graph_that_answers_otherwise_is_never_handed_over(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxClassifier, "temperature", 9.0)
    good = OnnxClassifier.logits
    monkeypatch.setattr(OnnxClassifier, "logits", lambda self, texts: good(self, texts) * 2)
    with pytest.raises(StillhouseError, match="away from that of the release"):
        write_standalone(bundle, RELEASE, tmp_path / "out")
    assert not list(tmp_path.iterdir()), "nothing half-written is left"
