"""Whether what ships says what was trained: both sides of each limit, and the files that a server needs."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from checks.exports import (
    confidence_was_calibrated,
    only_onnx_and_json_ship,
    onnx_computes_what_torch_computed,
    quantisation_keeps_the_answers,
)
from stillhouse.models.temperature_scaling import COLDEST, HOTTEST
from stillhouse.stages.facts import ExportedFacts, ExportFacts, ParityFacts
from stillhouse.stages.names import EVALUATION
from tests.checks.hand_made import DEMO, FAIL, PASS, answer_of, artifact
from tests.faults.bench import Fault
from tests.faults.plants import EXPORT, afterwards, leaves_a_pickle, patched, shuffled
from tests.faults.students import (
    export_of_a_further_seed_shifted,
    leaves_no_temperature,
    quantises_something_else,
    shifts_all_logits,
)


def exported(difference: float = 1e-6, agreement: float = 0.99, **more: Any) -> dict[str, Any]:
    return {
        "precision": "int8",
        "fp32": ParityFacts(max_abs_logit_diff=difference, top1_agreement=1.0),
        "shipped": ParityFacts(max_abs_logit_diff=0.1, top1_agreement=agreement),
        "model_bytes": 1, "fp32_bytes": 1, "shipped_bytes": 1, "bytes": 1, "texts": 1234, "temperature": 1.0, **more,
    }  # fmt: skip


def ships(*seeds: dict[str, Any], folder: Path = Path("/nowhere"), **measured: float) -> Any:
    further = {n: ExportedFacts(**each) for n, each in enumerate(seeds)}
    return artifact(
        ExportFacts(**exported(**measured, seeds=further)), stage="exports/five_layers", batch=None, folder=folder
    )


def test_the_largest_difference_of_any_seed_has_to_be_within_the_limit() -> None:
    gate = onnx_computes_what_torch_computed
    assert answer_of(gate, ships(difference=1e-3)) == (PASS, "largest difference of a logit 0.001, limit 0.001")
    assert answer_of(gate, ships(difference=1.1e-3))[0] is FAIL
    assert answer_of(gate, ships(exported(0.5), exported(1e-6)))[0] is FAIL


def test_the_answers_of_the_model_that_ships_decide_alone() -> None:
    gate = quantisation_keeps_the_answers
    assert answer_of(gate, ships(agreement=0.97)) == (PASS, "0.970 of the answers are the same, limit 0.97")
    assert answer_of(gate, ships(agreement=0.969))[0] is FAIL
    said = "0.990 of the answers are the same, limit 0.97; 0.500 or more for 2 further seeds"
    assert answer_of(gate, ships(exported(agreement=0.5), exported(agreement=0.6))) == (PASS, said)


def test_one_of_several_precisions_that_changes_the_answers_stops_no_other() -> None:
    first = DEMO.students[0].model_copy(update={"precisions": ("fp32", "int8")})
    several = DEMO.model_copy(update={"students": (first, *DEMO.students[1:])})
    said = "0.500 of the answers are the same, limit 0.97; judged in int8 all the same, and not to be chosen in it"
    assert answer_of(quantisation_keeps_the_answers, ships(agreement=0.5), recipe=several) == (PASS, said)
    assert answer_of(quantisation_keeps_the_answers, ships(agreement=0.5))[0] is FAIL, "where it is the only one"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The folder of a model that may ship."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.onnx", "tokenizer.json"):
        (folder / name).touch()
    return folder


def configured(model: Path, labels: int = 2, **config: Any) -> Any:
    (model / "config.json").write_text(json.dumps({"id2label": {n: f"l{n}" for n in range(labels)}, **config}))
    return ships(folder=model.parent)


def test_only_three_files_ship_and_they_name_two_labels(model: Path) -> None:
    files = "config.json, model.onnx, tokenizer.json"
    assert answer_of(only_onnx_and_json_ship, configured(model)) == (PASS, f"{files}; 2 labels")
    assert answer_of(only_onnx_and_json_ship, configured(model, labels=1)) == (FAIL, f"{files}; 1 labels")
    (model / "weights.pkl").touch()
    assert answer_of(only_onnx_and_json_ship, configured(model)) == (FAIL, f"{files}, weights.pkl; 2 labels")


@pytest.mark.parametrize("temperature", [None, "hot", 0.0, -1.0, math.inf, math.nan])
def test_a_temperature_that_is_none_is_said_as_it_is(model: Path, temperature: object) -> None:
    finding = answer_of(confidence_was_calibrated, configured(model, temperature=temperature))
    assert finding == (FAIL, f"config.json has no valid temperature (found {temperature})")


def test_a_temperature_at_the_end_of_the_search_was_not_found(model: Path) -> None:
    found = answer_of(confidence_was_calibrated, configured(model, temperature=1.5))
    assert found == (PASS, "temperature 1.500, fitted on 1,234 validation rows")
    for end in (COLDEST, HOTTEST):
        verdict, sentence = answer_of(confidence_was_calibrated, configured(model, temperature=float(end)))
        assert verdict is FAIL
        assert sentence.endswith(f": the search from {COLDEST:g} to {HOTTEST:g} ran into the end")


FAULTS = [
    Fault(
        "the export computes something else", EXPORT, "onnx_computes_what_torch_computed",
        patched("stillhouse.models.export:export_onnx", afterwards(shifts_all_logits)), "limit 0.001",
    ),
    Fault(
        "the export of a further seed computes something else", EXPORT, "onnx_computes_what_torch_computed",
        export_of_a_further_seed_shifted, "limit 0.001",
    ),
    Fault(
        "eight bits change the answers", EXPORT, "quantisation_keeps_the_answers",
        patched("stillhouse.models.export:write_precision", quantises_something_else), "of the answers are the same",
    ),
    Fault(
        "a pickle ships", EXPORT, "only_onnx_and_json_ship",
        patched("stillhouse.models.export:export_student", afterwards(leaves_a_pickle)), "optimizer.pt",
        refuses=EVALUATION,
    ),
    Fault(
        "validation rows have each other's labels", EXPORT, "confidence_was_calibrated",
        patched("stillhouse.tasks.single_label:SingleLabel.targets", lambda real: lambda *on: shuffled(real(*on))),
        "ran into the end",
        refuses=EVALUATION,
    ),
    Fault(
        "the temperature does not ship", EXPORT, "confidence_was_calibrated",
        patched("stillhouse.models.export:export_student", afterwards(leaves_no_temperature)), "None",
    ),
]  # fmt: skip
