"""Whether everything was judged, by the right rows and as it ships: verdict and sentence of each gate."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import checks.evaluation
from checks.evaluation import (
    every_declared_slice_has_a_verdict,
    every_sensitive_column_has_a_report,
    every_student_was_judged_as_it_ships,
    few_mistakes_of_the_teacher_are_repeated,
    golden_rounds_are_within_the_limit,
    latency_was_measured,
    no_hidden_slice_was_found,
    the_golden_set_is_the_frozen_one,
    the_golden_set_was_not_used_before,
)
from stillhouse.evaluation.models import ModelKind
from stillhouse.records.golden_set_usage import log_golden_read
from stillhouse.records.ledger import Ledger
from stillhouse.stages.names import EVALUATION, SELECTION
from tests.checks.hand_made import DEMO, FAIL, PASS, answer_of, artifact, ask, measured, recipe
from tests.faults.bench import Fault
from tests.faults.evaluation import (
    everybody_judged_by_another_split,
    fails_where_nobody_looked,
    forgets_a_slice,
    judged_with,
    of_another_artifact,
    one_shot_used_twice,
    other_golden,
    some_relabelled,
    untimed,
    wrong_together,
)

LOCKED, OTHER = "a" * 64, "b" * 64
STUDENTS = [student.name for student in DEMO.students]
HERE, BASELINES = Path("/evaluation"), Path("/baselines")


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> dict[Path, list[Any]]:
    """Evaluations by the folder of the artifact that they are in."""
    found: dict[Path, list[Any]] = {HERE: [], BASELINES: []}
    monkeypatch.setattr(checks.evaluation, "read_evaluations", found.__getitem__)
    return found


def evaluation(facts: Any = None, **manifest: Any) -> Any:
    return artifact(facts, stage="evaluation", batch=None, folder=HERE, **manifest)


def of(name: str, kind: ModelKind = ModelKind.STUDENT, **measured: Any) -> Any:
    return SimpleNamespace(name=name, score=SimpleNamespace(kind=kind), **measured)


def test_each_student_of_the_recipe_is_judged_as_it_was_exported() -> None:
    gate = every_student_was_judged_as_it_ships
    inputs = {f"small/exports/{name}": SimpleNamespace(digest=f"{name} exported") for name in STUDENTS}
    digests = {name: f"{name} exported" for name in STUDENTS}

    def look() -> Any:
        return answer_of(gate, evaluation(SimpleNamespace(judged=digests), inputs=inputs))

    assert look() == (PASS, "3 exports judged")
    digests["two_layers"] = "another"
    del digests["five_layers"]
    assert look() == (FAIL, "not judged as exported: five_layers, two_layers")


def test_each_model_is_judged_by_the_rows_that_were_locked(judged: dict[Path, list[Any]]) -> None:
    prompts = artifact(SimpleNamespace(golden_digest=LOCKED, golden=1450))
    made_from = {"prompts": prompts, "baselines": artifact(stage="baselines", folder=BASELINES)}
    judged[HERE] = [of("a", golden_digest=LOCKED, golden_rows=1450)]
    judged[BASELINES] = [of("b", golden_digest=LOCKED, golden_rows=1450)]
    held = f"1,450 rows locked as {'a' * 12}"
    gate = the_golden_set_is_the_frozen_one
    assert answer_of(gate, evaluation(), made_from=made_from) == (PASS, f"{held}; all 2 models were judged by them")
    judged[BASELINES][0].golden_digest = OTHER
    by_others = f"{held}; judged by other rows: b by 1,450 rows, {'b' * 12}"
    assert answer_of(gate, evaluation(), made_from=made_from) == (FAIL, by_others)


def test_each_declared_slice_has_a_verdict(judged: dict[Path, list[Any]]) -> None:
    every = [SimpleNamespace(name=item.name) for item in DEMO.slices]
    judged[HERE] = [of("a", slices=every), of("b", slices=every)]
    assert answer_of(every_declared_slice_has_a_verdict, evaluation()) == (PASS, "8 slices judged for each student")
    judged[HERE][1].slices = every[2:]
    assert answer_of(every_declared_slice_has_a_verdict, evaluation()) == (FAIL, "b: people, places")
    asked = SimpleNamespace(slices=(), bar=SimpleNamespace(fields={"total": None, "due": None}))
    judged[HERE] = [of("a", slices=[SimpleNamespace(name="total")])]
    assert answer_of(every_declared_slice_has_a_verdict, evaluation(), recipe=asked) == (FAIL, "a: due")
    judged[HERE] = [of("a", slices=[SimpleNamespace(name=name) for name in asked.bar.fields])]
    said = "2 slices and fields judged for each student"
    assert answer_of(every_declared_slice_has_a_verdict, evaluation(), recipe=asked) == (PASS, said)


def test_each_sensitive_column_is_reported_for_each_student(judged: dict[Path, list[Any]]) -> None:
    gate = every_sensitive_column_has_a_report
    assert answer_of(gate, evaluation()) == (PASS, "the recipe names no sensitive column")
    asked = recipe(sensitive=[{"column": "age"}, {"column": "sex"}])
    wide = SimpleNamespace(accuracy=SimpleNamespace(gap=0.125))
    unknown = SimpleNamespace(accuracy=None)
    age = SimpleNamespace(column="age", groups=("young", "old"), student=wide, teacher=unknown)
    sex = SimpleNamespace(column="sex", groups=("f", "m", "x"), student=unknown, teacher=wide)
    judged[HERE] = [of("a", fairness=[age, sex]), of("b", fairness=[age])]
    finding = ask(gate, evaluation(), recipe=asked)
    assert (finding.verdict, finding.sentence) == (FAIL, "not reported: b: sex")
    first = {"student": "a", "column": "age", "groups": 2, "gap": "12.5 points", "teacher": "too few rows"}
    assert finding.evidence["gaps_in_accuracy"][0] == first and len(finding.evidence["gaps_in_accuracy"]) == 3
    judged[HERE].pop()
    assert answer_of(gate, evaluation(), recipe=asked) == (PASS, "reported by age, sex for each student")


def test_latency_is_measured_for_each_student(judged: dict[Path, list[Any]]) -> None:
    judged[HERE] = [of("a", latency="measured"), of("b", latency=None)]
    assert answer_of(latency_was_measured, evaluation()) == (FAIL, "not measured: b")
    judged[HERE].pop()
    assert answer_of(latency_was_measured, evaluation()) == (PASS, "measured for every student")


def test_repeated_mistakes_are_a_warning_for_students_alone(judged: dict[Path, list[Any]]) -> None:
    warns, quiet = (
        SimpleNamespace(warning=lambda most, of=share: "repeats" if of > most else None, repeated_share=share)
        for share in (0.15, 0.05)
    )
    judged[HERE] = [of("a", fidelity=quiet), of("c", ModelKind.CONTROL, fidelity=warns)]
    fine = (PASS, "at most 10% of the rows for each student")
    assert answer_of(few_mistakes_of_the_teacher_are_repeated, evaluation()) == fine
    judged[HERE].append(of("b", fidelity=warns))
    assert answer_of(few_mistakes_of_the_teacher_are_repeated, evaluation()) == (FAIL, "b repeats")
    assert measured(few_mistakes_of_the_teacher_are_repeated, evaluation()) == (0.15, 0.1)
    lenient = recipe(limits__repeated_mistakes_at_most=0.2)
    said = (PASS, "at most 20% of the rows for each student")
    assert answer_of(few_mistakes_of_the_teacher_are_repeated, evaluation(), recipe=lenient) == said


def test_a_hidden_slice_is_said_of_each_model_that_is_no_control(judged: dict[Path, list[Any]]) -> None:
    slice_ = SimpleNamespace(description="label = ABBR", confirmed_drop=0.2, rest_drop=0.01)
    judged[HERE] = [of("a", discovered=()), of("c", ModelKind.CONTROL, discovered=(slice_,))]
    assert answer_of(no_hidden_slice_was_found, evaluation()) == (PASS, "none was found")
    judged[HERE].append(of("b", discovered=(slice_,)))
    loses = "b loses 20.0 points where label = ABBR, 1.0 elsewhere: declare it as a slice, or find out why"
    assert answer_of(no_hidden_slice_was_found, evaluation()) == (FAIL, loses)


def rounds(ledger: Ledger, *runs: str, reader: str = "evaluation") -> None:
    for run in runs:
        log_golden_read(ledger, "small", golden=LOCKED, split_key="k", reader=reader, run_id=run)


def test_rounds_of_candidates_are_counted_against_the_limit_of_the_recipe(ledger: Ledger) -> None:
    config = {"split": {"key": "k"}}
    asked: dict[str, Any] = {
        "made_from": {"prompts": artifact(SimpleNamespace(golden_digest=LOCKED), config=config)},
        "ledger": ledger,
    }
    gate, two = golden_rounds_are_within_the_limit, recipe(split__golden_rounds_at_most=2)
    rounds(ledger, "first", "second")
    rounds(ledger, "of the baselines", reader="baselines")
    assert answer_of(gate, evaluation(), **asked) == (PASS, "the recipe sets no limit")
    detail = "2 of at most 2 rounds judged by golden rows of key 'k'"
    assert answer_of(gate, evaluation(), recipe=two, **asked) == (PASS, detail)
    rounds(ledger, "third")
    verdict, sentence = answer_of(gate, evaluation(), recipe=two, **asked)
    assert verdict is FAIL and sentence.startswith("3 of at most 2 rounds judged by golden rows of key 'k': ")
    assert "by run first, " in sentence and "by run third; another split key" in sentence


def test_a_second_use_of_the_golden_rows_is_said(ledger: Ledger) -> None:
    prompts = artifact(SimpleNamespace(golden_digest=LOCKED), config={"split": {"key": "k"}})
    gate = the_golden_set_was_not_used_before
    asked: dict[str, Any] = {"made_from": {"prompts": prompts}, "ledger": ledger}
    assert answer_of(gate, evaluation(), **asked) == (PASS, "first use"), "nobody has read them yet"
    rounds(ledger, "first")
    assert answer_of(gate, evaluation(), **asked) == (PASS, "first use")
    rounds(ledger, "second")
    since = ledger.entries("small", "golden_read")[0].at[:10]
    used = f"not clean: 2 rounds were judged by these rows since {since}; another split key is a fresh set"
    assert answer_of(gate, evaluation(), **asked) == (FAIL, used)


FAULTS = [
    Fault(
        "ten golden rows were left out", EVALUATION, "the_golden_set_is_the_frozen_one",
        other_golden(lambda golden: golden[10:]), "judged by other rows: one by",
    ),
    Fault(
        "golden rows were relabelled on the way", EVALUATION, "the_golden_set_is_the_frozen_one",
        other_golden(some_relabelled), "judged by other rows: one by",
    ),
    Fault(
        "students and baselines are judged by another split of the same size", EVALUATION,
        "the_golden_set_is_the_frozen_one", everybody_judged_by_another_split, "judged by other rows: one by",
    ),
    Fault(
        "a declared slice was not judged", EVALUATION, "every_declared_slice_has_a_verdict",
        judged_with("stillhouse.stages.bench:evaluate", forgets_a_slice), "people",
    ),
    Fault(
        "nobody looked at a sensitive column", EVALUATION, "every_sensitive_column_has_a_report",
        judged_with("stillhouse.evaluation.measured:fairness", lambda real: lambda *rows, **how: ()),
        "not reported: one: channel",
    ),
    Fault(
        "speed was not measured", EVALUATION, "latency_was_measured",
        untimed,
        "not measured: one",
    ),
    Fault(
        "something else was judged than ships", EVALUATION, "every_student_was_judged_as_it_ships",
        judged_with("stillhouse.stages.evaluation:EvaluatedModel", of_another_artifact), "not judged as exported",
        refuses=SELECTION,
    ),
    Fault(
        "teacher and student are wrong together", EVALUATION, "few_mistakes_of_the_teacher_are_repeated",
        judged_with("stillhouse.evaluation.aligned:fidelity", wrong_together), "mistakes of the teacher", advice=True,
    ),
    Fault(
        "the golden set is used a second time", EVALUATION, "the_golden_set_was_not_used_before",
        judged_with("stillhouse.stages.bench:evaluate", lambda real: real), "2 rounds were judged", advice=True,
    ),
    Fault(
        "a golden set for one round is used twice", EVALUATION, "golden_rounds_are_within_the_limit",
        one_shot_used_twice, "2 of at most 1 rounds judged by golden rows of key 'small'", refuses=SELECTION,
    ),
    Fault(
        "a student fails where nobody looked", EVALUATION, "no_hidden_slice_was_found",
        judged_with("stillhouse.stages.bench:evaluate", fails_where_nobody_looked), "where first word = how",
        advice=True,
    ),
]  # fmt: skip
