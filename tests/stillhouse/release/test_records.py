"""A release that takes records out of texts: the folder that is handed over gives what the server gives."""

import ast
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import packages_distributions
from importlib.resources import files
from pathlib import Path
from typing import Any

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
from stillhouse.release.standalone_record import READERS
from stillhouse.serving.loaded import LoadedRelease
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.words import words_of
from tests.stillhouse.record_bundle import TASK, TEXTS, WORDS_AT_MOST, bundle_of_records
from tests.stillhouse.release.test_standalone import RELEASE, sessions_opened, with_what_they_require

pytestmark = pytest.mark.long

Ask = Callable[[str], tuple[dict[str, str | None], float]]
READ: dict[str, Any] = {
    "due": {"kind": "date", "words_at_most": 6, "order": "day_first"},
    "either": {"kind": "date", "words_at_most": 6},
    "most": {"kind": "number", "optional": True},
    "point": {"kind": "number", "decimal": "point"},
    "sum": {"kind": "number", "decimal": "comma"},
    "unit": {"kind": "choice", "of": ["EUR", "US dollar"]},
}
"""Fields that read numbers and dates in each way in which a recipe may have them read."""
FORMS = {
    "1,931.00": "1931", "1.931,00": "1931", "1'931.00": "1931", "1\u2019931": "1931", "1 931,00": "1931",
    "1931.00": "1931", "1.931.000": "1931000", "12,5": "12.5", "12.50": "12.5", "0.125": "0.125",
    "1234,567": "1234.567", "9" * 30 + ".25": "9" * 30 + ".25", "2026-11-30": "2026-11-30",
    "2026/11/30": "2026-11-30", "30.11.2026": "2026-11-30", "30. 11. 2026": "2026-11-30", "11/30/2026": "2026-11-30",
    "30 November 2026": "2026-11-30", "30-Nov-2026": "2026-11-30", "30th of November 2026": "2026-11-30",
    "Nov. 30, 2026": "2026-11-30", "Nov . 30 , 2026": "2026-11-30",
}  # fmt: skip
"""What has one reading, with it."""
OTHERS = ["1,931", "1.931", "-12.50", "\u221212,50", "11/12/2026", "EUR12.50", "10:30", "twelve", "31 November 2026"]


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


def said_alone(folder: Path, texts: Sequence[str]) -> list[tuple[str, str]]:
    """What a folder says where nothing but the three packages that it names is installed, with its probability."""
    there = with_what_they_require("onnxruntime", "tokenizers", "numpy")
    installed = packages_distributions().items()
    absent = sorted(name for name, owners in installed if there.isdisjoint(map(canonicalize_name, owners)))
    assert {"stillhouse", "torch", "polars"} <= {*absent}
    hidden = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys({absent})); "
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-c", hidden, str(folder / LOADER), *texts],
        cwd="/", env=dict(os.environ), capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = [line.split("\t", 2) for line in ran.stdout.splitlines()]
    return [(record, probability) for record, probability, _ in said]


def test_it_gives_the_records_of_the_release_with_the_three_packages_it_names_alone(
    folder: Path, release: LoadedRelease
) -> None:
    names = {"model.onnx", "tokenizer.json", "record.json", *READERS, LOADER, "README.md", "release.json"}
    assert {path.name for path in folder.iterdir()} == names
    texts = [*TEXTS, "who\u200b  is\tthe \u200f  king\u00ad ?"]
    said = said_alone(folder, texts)
    expected = [release.answer(text) for text in texts]
    assert [record for record, _ in said] == [each.label for each in expected]
    sure = [each.confidence for each in expected]
    assert [float(probability) for _, probability in said] == pytest.approx(sure, abs=1e-3)
    assert len({*(record for record, _ in said)}) > 1, "they differ, so that this test could fail"


def test_what_reads_a_text_there_is_what_reads_it_here(folder: Path) -> None:
    """One source, which loads nothing of Stillhouse."""
    for name in READERS:
        there = (folder / name).read_text("utf-8")
        assert there == Path(str(files("stillhouse.tasks").joinpath(name))).read_text("utf-8")
        loaded = [node for node in ast.parse(there).body if isinstance(node, ast.Import | ast.ImportFrom)]
        modules = {getattr(node, "module", None) or node.names[0].name for node in loaded}
        assert {module.split(".")[0] for module in modules} <= sys.stdlib_module_names


@pytest.fixture(scope="module")
def bundle_that_reads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of_records(tmp_path_factory.mktemp("values"), fields=READ)


@pytest.fixture(scope="module")
def folder_that_reads(bundle_that_reads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("out") / "for_them"
    write_standalone(bundle_that_reads, RELEASE, target)
    return target


@pytest.fixture(scope="module")
def release_that_reads(bundle_that_reads: Path) -> LoadedRelease:
    return LoadedRelease(bundle_that_reads, RELEASE)


@pytest.fixture(scope="module")
def model_that_reads(bundle_that_reads: Path) -> OnnxClassifier:
    return OnnxClassifier(bundle_that_reads / MODEL)


@pytest.fixture(scope="module")
def ask_what_reads(folder_that_reads: Path) -> Callable[[str], tuple[str, float]]:
    found: Callable[[str], tuple[str, float]] = runpy.run_path(str(folder_that_reads / LOADER))["answer"]
    return found


def test_numbers_and_dates_are_those_of_the_release_however_a_text_has_them(
    folder_that_reads: Path, release_that_reads: LoadedRelease
) -> None:
    """To the last digit: a number of thirty of them is no float."""
    texts = [*FORMS, *OTHERS, *(f"the {form} king" for form in [*FORMS, *OTHERS]), "no more than words"]
    said = said_alone(folder_that_reads, texts)
    expected = [release_that_reads.answer(text) for text in texts]
    assert [record for record, _ in said] == [each.label for each in expected]
    assert [float(each) for _, each in said] == pytest.approx([each.confidence for each in expected], abs=1e-3)
    for (form, value), (record, _) in zip(FORMS.items(), said, strict=False):
        if "-" in value:
            held = json.loads(record)
            assert (held["due"], held["either"]) == (value, value), form
        elif " " not in form:
            assert f'"point":{value},"sum":{value},' in record, form
    by_text = dict(zip(texts, (record for record, _ in said), strict=True))
    assert '"point":1931,"sum":1.931,' in by_text["1,931"] and '"point":1.931,"sum":1931,' in by_text["1.931"]
    assert '"due":"2026-12-11","either":null,' in by_text["11/12/2026"], "of two readings nobody knows which"
    assert json.loads(by_text["no more than words"]).keys() == READ.keys()
    assert '"due":null,"either":null,"most":null,"point":null,"sum":null,' in by_text["no more than words"]


PARTS = st.sampled_from([*FORMS, *OTHERS, "the", "king", ",", "-", "of", "2026", "30"])


@settings(max_examples=100, deadline=None)
@given(text=st.lists(PARTS, min_size=1, max_size=8).map(" ".join))
@example(text="12.50 12,5 12.5 the 12.500")
@example(text="1,931 or 1931 or 1.931")
def test_of_several_values_it_takes_the_one_that_the_release_takes(
    text: str,
    release_that_reads: LoadedRelease,
    model_that_reads: OnnxClassifier,
    ask_what_reads: Callable[[str], tuple[str, float]],
) -> None:
    said, probability = ask_what_reads(text)
    expected = release_that_reads.answer(text)
    assert probability == pytest.approx(expected.confidence, abs=1e-3)
    task = release_that_reads.task
    assert isinstance(task, Extraction) and said.count(",") == expected.label.count(",")
    logits = model_that_reads.logits([spelled(text)])[0]
    for field in task.fields:
        of_it = (json.loads(record, parse_float=str, parse_int=str)[field.name] for record in (said, expected.label))
        other, largest = np.sort(field.of(logits))[-2:]
        assert len({*of_it}) == 1 or largest - other < 1e-3 < other + 100, "of equal outputs either may be the larger"


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


@pytest.mark.parametrize(
    ("name", "is_there", "instead"),
    [
        (LOADER, "more + 1)", "more + 2)"),
        ("numbers_in_texts.py", 'rest.rstrip("0")', "rest"),
        ("numbers_in_texts.py", '"point": ".", "comma": ","', '"point": ",", "comma": "."'),
        ("dates_in_texts.py", 'order != "month_first"', 'order == "month_first"'),
        ("dates_in_texts.py", "name[:3]", "name[:4]"),
        ("words.py", "len(found) == 1", "found"),
    ],
)
def test_a_folder_that_answers_otherwise_is_not_handed_over(
    bundle: Path,
    bundle_that_reads: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    is_there: str,
    instead: str,
) -> None:
    real = standalone_record.write_for_records

    def broken(folder: Path, *how: object) -> None:
        real(folder, *how)  # type: ignore[arg-type]
        before = (folder / name).read_text("utf-8")
        assert is_there in before
        (folder / name).write_text(before.replace(is_there, instead), "utf-8")

    monkeypatch.setattr("stillhouse.release.standalone.write_for_records", broken)
    with pytest.raises(StillhouseError, match=r"is not the one that the release gives|away from that of the release"):
        write_standalone(bundle if name == LOADER else bundle_that_reads, RELEASE, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_probability_is_that_of_every_field_at_the_temperature(handed_over: Ask, model: OnnxClassifier) -> None:
    """By hand: the product over the fields of the largest share of each."""
    outputs = model.logits([TEXTS[1]])[0].astype(np.float64) / model.temperature
    shares = [np.exp(field.of(outputs)).max() / np.exp(field.of(outputs)).sum() for field in TASK.fields]
    assert handed_over(TEXTS[1])[1] == pytest.approx(float(np.prod(shares)), abs=1e-3)
