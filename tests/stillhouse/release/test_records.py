"""A release that takes records out of texts: the folder that is handed over gives what the server gives."""

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from stillhouse.data.one_text import spelled
from stillhouse.errors import StillhouseError
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.release import standalone_record
from stillhouse.release.bundle import MODEL
from stillhouse.release.standalone import LOADER, write_standalone
from stillhouse.serving.loaded import LoadedRelease
from stillhouse.tasks.words import words_of
from tests.stillhouse.record_bundle import TASK, TEXTS, WORDS_AT_MOST, bundle_of_records
from tests.stillhouse.release.test_standalone import RELEASE, sessions_opened, with_what_they_require

pytestmark = pytest.mark.long

Ask = Callable[[str], tuple[dict[str, str | None], float]]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of_records(tmp_path_factory.mktemp("records"))


@pytest.fixture(scope="module")
def folder(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("out") / "for_them"
    write_standalone(bundle, RELEASE, target)
    return target


@pytest.fixture(scope="module")
def release(bundle: Path) -> LoadedRelease:
    return LoadedRelease(bundle, RELEASE)


@pytest.fixture(scope="module")
def model(bundle: Path) -> OnnxClassifier:
    return OnnxClassifier(bundle / MODEL)


@pytest.fixture(scope="module")
def handed_over(folder: Path) -> Ask:
    found: Ask = runpy.run_path(str(folder / LOADER))["record"]
    return found


def test_it_gives_the_records_of_the_release_with_the_three_packages_it_names_alone(
    folder: Path, release: LoadedRelease
) -> None:
    names = {"model.onnx", "tokenizer.json", "record.json", "words.py", LOADER, "README.md", "release.json"}
    assert {path.name for path in folder.iterdir()} == names
    there = with_what_they_require("onnxruntime", "tokenizers", "numpy")
    installed = packages_distributions().items()
    absent = sorted(name for name, owners in installed if there.isdisjoint(map(canonicalize_name, owners)))
    assert {"stillhouse", "torch", "polars"} <= {*absent}
    hidden = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys({absent})); "
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    texts = [*TEXTS, "who\u200b  is\tthe   king\u00ad ?"]
    ran = subprocess.run(
        [sys.executable, "-I", "-c", hidden, str(folder / LOADER), *texts],
        cwd="/", env=dict(os.environ), capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = [line.split("\t", 2) for line in ran.stdout.splitlines()]
    expected = [release.answer(text) for text in texts]
    assert [record for record, _, _ in said] == [each.label for each in expected]
    sure = [each.confidence for each in expected]
    assert [float(probability) for _, probability, _ in said] == pytest.approx(sure, abs=1e-3)
    assert len({*(record for record, _, _ in said)}) > 1, "they differ, so that this test could fail"


WORDS = st.sampled_from(["the", "The", "king", "12.50", "Zu\u0308rich", "Z\u00fcrich", "\u20ac", ",", "\u4e2d\u6587"])
ASKED = st.one_of(
    st.text(max_size=60),
    st.lists(WORDS, max_size=3 * WORDS_AT_MOST).map(" ".join),
    st.lists(st.one_of(WORDS, st.text(max_size=4)), max_size=20).map(" \t".join),
)


@settings(max_examples=300, deadline=None)
@given(text=ASKED)
@example(text="")
@example(text=" \u200b\u00ad ")
@example(text="\u0301")
@example(text="\u0301 the\u0301 \u0301 king")
@example(text="the king the king the king")
@example(text="the " * 40 + "king")
@example(text="x" * 19_990 + " the king the king")
@example(text="\ufeff\u202ethe\u202c king\r\n")
def test_it_gives_every_text_the_record_that_the_server_gives(
    text: str, release: LoadedRelease, handed_over: Ask, model: OnnxClassifier
) -> None:
    if not spelled(text):
        with pytest.raises(StillhouseError, match="empty"):
            release.answer(text)
        with pytest.raises(ValueError, match="nothing in the text can be seen"):
            handed_over(text)
        return
    said, probability = handed_over(text)
    expected = release.answer(text)
    assert probability == pytest.approx(expected.confidence, abs=1e-3)
    margin = TASK.margin(model.logits([spelled(text)]))[0]
    assert said == json.loads(expected.label) or margin < 1e-3, "of equal outputs either may be the larger one"
    assert {*said} == {*TASK.spec.fields}
    for name in ("buyer", "total"):
        assert (said[name] or "") in spelled(text)
        words = words_of(spelled(text))[:WORDS_AT_MOST]
        assert set(words_of(said[name] or "")) <= set(words), "no word beyond those that are read is answered"


def test_the_card_in_it_says_how_it_is_asked(folder: Path, release: LoadedRelease) -> None:
    card = (folder / "README.md").read_text()
    assert "a record of buyer, total, unit, urgency" in card and "labels.json" not in card
    (code,) = [part.split("```")[0] for part in card.split("```python\n")[1:]]
    ran = subprocess.run(
        [sys.executable, "-c", code.replace("a text", TEXTS[1])], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    assert ran.startswith(str(json.loads(release.answer(TEXTS[1]).label)))


def test_it_is_opened_as_it_was_judged(bundle: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = sessions_opened(monkeypatch)
    OnnxClassifier(bundle / MODEL)
    runpy.run_path(str(folder / LOADER))
    as_judged, as_handed_over = opened
    assert as_judged and as_handed_over == as_judged


def test_a_folder_that_answers_otherwise_is_not_handed_over(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = standalone_record.write_for_records

    def broken(folder: Path, *how: object) -> None:
        real(folder, *how)  # type: ignore[arg-type]
        loader = folder / LOADER
        loader.write_text(loader.read_text().replace("more + 1)", "more + 2)"))

    monkeypatch.setattr("stillhouse.release.standalone.write_for_records", broken)
    with pytest.raises(StillhouseError, match="a record is not the one that the release gives"):
        write_standalone(bundle, RELEASE, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_probability_is_that_of_every_field_at_the_temperature(handed_over: Ask, model: OnnxClassifier) -> None:
    """By hand: the product over the fields of the largest share of each."""
    outputs = model.logits([TEXTS[1]])[0].astype(np.float64) / model.temperature
    shares = [np.exp(field.of(outputs)).max() / np.exp(field.of(outputs)).sum() for field in TASK.fields]
    assert handed_over(TEXTS[1])[1] == pytest.approx(float(np.prod(shares)), abs=1e-3)


def test_a_folder_that_reads_no_numbers_is_not_written(tmp_path: Path) -> None:
    bundle = bundle_of_records(tmp_path, fields={"total": {"kind": "number"}})
    with pytest.raises(StillhouseError, match=r"total is a number.*stillhouse\.load\("):
        write_standalone(bundle, RELEASE, tmp_path / "out")
    assert not (tmp_path / "out").exists()
