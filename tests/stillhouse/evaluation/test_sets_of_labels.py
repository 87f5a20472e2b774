"""Sets of labels before the golden harness: whole sets decide, each label is counted, a rare one can be a slice."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support

from stillhouse.errors import StillhouseError
from stillhouse.evaluation.baselines.fitted import constant, tfidf_linear
from stillhouse.evaluation.harness import Evaluation, evaluate
from stillhouse.evaluation.lost_classes import lost_classes
from stillhouse.evaluation.models import EvaluatedModel, ModelKind
from stillhouse.evaluation.planning import plan
from stillhouse.evaluation.slices.declared import slice_masks
from stillhouse.recipe.bar import BarSpec, BudgetSpec, SliceSpec, Terms
from stillhouse.release.probe import TOLERANCE, probe_of, probe_problems
from stillhouse.report.document import report_html
from stillhouse.report.record import report_of
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks.label_sets import written_set
from stillhouse.tasks.multi_label import MultiLabel

NAMES = ("legal", "rare", "refund")
TASK = MultiLabel(NAMES)
ROWS = 600
RARE = SliceSpec(name="with the rare one", column="label", values=("rare",), critical=True, margin=0.2)


def truths() -> np.ndarray:
    """One row in ten has the rare label, half of the rows each of the others."""
    random = np.random.default_rng(0)
    return random.random((ROWS, 3)) < [0.5, 0.1, 0.5]


def golden() -> pl.DataFrame:
    labels = [written_set(name for name, there in zip(NAMES, row, strict=True) if there) for row in truths()]
    ids = [f"p{number:04}" for number in range(ROWS)]
    return pl.DataFrame({"prompt_id": ids, "text": [f"text {number}" for number in range(ROWS)], "label": labels})


def model(kind: ModelKind, said: np.ndarray, size: int = 1_000) -> EvaluatedModel:
    logits = np.where(said, 2.0, -2.0)
    outputs = pl.DataFrame({"prompt_id": golden()["prompt_id"], "logits": pl.Series(logits.tolist())})
    return EvaluatedModel(str(kind), kind, outputs, size)


def judged(said: np.ndarray, slices: Sequence[SliceSpec] = (), **bar: object) -> Evaluation:
    terms = Terms(bar=BarSpec(**{"margin": 0.1, **bar}), budget=BudgetSpec(size_ratio_at_least=1), slices=tuple(slices))  # type: ignore[arg-type]
    teacher = model(ModelKind.TEACHER, truths(), 1_000_000)
    return evaluate(model(ModelKind.STUDENT, said), teacher, golden(), terms, task=TASK)


def with_mistakes(seed: int = 1, share: float = 0.05) -> np.ndarray:
    return truths() ^ (np.random.default_rng(seed).random((ROWS, 3)) < share)


def test_each_label_and_all_together_are_as_scikit_learn_counts_them() -> None:
    said = with_mistakes()
    found = judged(said)
    precision, recall, f1, rows = precision_recall_fscore_support(truths(), said, zero_division=0)
    assert [each.label for each in found.per_class] == list(NAMES)
    assert [each.rows for each in found.per_class] == rows.tolist()
    for own, expected in (("precision", precision), ("recall", recall), ("f1", f1)):
        assert [getattr(each, own) for each in found.per_class] == pytest.approx(expected.tolist())
    assert found.of_labels is not None and found.of_labels.teacher_micro_f1 == 1
    assert found.of_labels.micro_f1 == pytest.approx(f1_score(truths(), said, average="micro"))
    assert found.score.macro_f1 == pytest.approx(f1_score(truths(), said, average="macro"))
    assert found.score.accuracy == (said == truths()).all(axis=1).mean() < found.of_labels.micro_f1
    assert found.confusion == () and found.teacher_confusion is None and found.score.calibration is None


def test_classes_that_look_like_sets_are_in_no_slice_of_a_label_and_planned_so() -> None:
    """As before there were sets of labels: a slice of a class is the rows of that class."""
    rows = pl.DataFrame({"label": ['["rare"]', '["rare","x"]', "rare", "x;rare"]})
    assert slice_masks(rows, [RARE]).tolist() == [[False, False, True, False]]
    assert [claim.rows for claim in plan(rows, BarSpec(margin=0.1), [RARE]).claims] == [4, 1]


def test_a_label_that_nobody_has_or_is_given_is_left_out() -> None:
    nothing = np.zeros((ROWS, 3), bool)
    found = judged(nothing)
    assert [each.label for each in found.per_class] == list(NAMES) and {each.f1 for each in found.per_class} == {0.0}
    assert found.of_labels is not None and found.of_labels.micro_f1 == 0 == found.score.macro_f1


def test_rows_that_carry_a_label_are_a_slice_that_can_bind() -> None:
    """A student that never gives the rare label holds the bar of all rows, and not that of its own."""
    forgets = truths().copy()
    forgets[:, 1] = False
    assert slice_masks(golden(), [RARE], are_sets=True)[0].tolist() == truths()[:, 1].tolist()
    loose = judged(forgets, margin=0.2)
    assert loose.non_inferiority.verdict is Verdict.PASS
    found = judged(forgets, [RARE], margin=0.2)
    assert found.slices[0].rows == truths()[:, 1].sum() and found.slices[0].verdict is Verdict.FAIL
    assert found.verdict is not Verdict.PASS
    (lost,) = lost_classes(loose)
    assert (lost.label, lost.found, lost.teacher_found) == ("rare", 0, int(truths()[:, 1].sum()))
    assert lost_classes(judged(truths())) == ()


def test_what_is_of_one_label_is_refused_by_the_harness_too() -> None:
    with pytest.raises(StillhouseError, match=r"bar\.metric: macro_f1"):
        judged(truths(), metric="macro_f1")


def test_the_report_says_it_to_machines_and_people() -> None:
    found = judged(with_mistakes())
    written = report_of(found).model_dump(mode="json")
    assert written["of_labels"]["micro_f1"] == found.of_labels.micro_f1  # type: ignore[union-attr]
    assert [each["label"] for each in written["per_class"]] == list(NAMES)
    page = report_html(found)
    assert "Label by label" in page and "accuracy asks for the whole set" in page and page.count("rare") >= 1
    assert Evaluation.model_validate_json(found.model_dump_json()) == found


def test_a_record_of_classes_has_no_field_of_sets(run) -> None:  # type: ignore[no-untyped-def]
    assert "of_labels" not in run().model_dump() and "of_labels" not in report_of(run()).model_dump()
    assert "Label by label" not in report_html(run())


def test_a_plan_counts_rows_of_whole_sets_and_of_a_label() -> None:
    planned = plan(golden(), BarSpec(margin=0.1), [RARE], are_sets=True)
    assert [claim.rows for claim in planned.claims] == [ROWS, int(truths()[:, 1].sum())]


def test_the_baselines_give_sets() -> None:
    texts = [" ".join(["so", *(name for name, there in zip(NAMES, row, strict=True) if there)]) for row in truths()]
    labels = golden()["label"].to_list()
    same = constant(labels, texts, task=TASK)
    frequent = max(set(labels), key=lambda label: (labels.count(label), label))
    assert labels.count(TASK.written(TASK.answers(same.logits[:1]))[0]) == labels.count(frequent)
    linear = tfidf_linear(labels and texts, labels, texts, task=TASK)
    assert TASK.right(linear.logits, TASK.targets(golden()["label"])).mean() > 0.99
    assert same.note.startswith("always '[")


def test_a_probe_asks_nothing_that_a_rounding_could_turn() -> None:
    logits = np.array(
        [[3.0, -3.0, 2.0], [3.0, TOLERANCE, 2.0], [-3.0, -3.0, -TOLERANCE], [-1.0, -1.0, -1.0]], np.float32
    )
    texts = ["sure", "unsure", "unsure, too", "none applies"]
    probe = probe_of(texts, logits, TASK)
    assert probe.texts == ("sure", "none applies") and probe.labels == ('["legal","refund"]', "[]")
    said = dict(zip(texts, logits, strict=True))
    assert probe_problems(probe, lambda text: said[text][None], TASK) == []
    assert len(probe_problems(probe, lambda text: -said[text][None], TASK)) == 2
