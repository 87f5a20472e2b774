"""The threshold of a cascade on rows made by hand: which rows count, what is protected, what is proven."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from stillhouse.recipe.contract import Recipe
from stillhouse.release.cascade import ProtectedSlice, Rule
from stillhouse.stages.cascade import Both, calibrated, swept, terms_of
from stillhouse.statistics.fixed_sequence import cascade_threshold
from stillhouse.tasks.multi_label import MultiLabel
from stillhouse.tasks.single_label import SingleLabel
from tests.checks.hand_made import recipe

TASK = SingleLabel(("a", "b"))
SLICES = [
    {"name": "by_post", "column": "channel", "values": ["post"], "critical": True, "margin": 0.1},
    {"name": "bees", "column": "label", "values": ["b"], "critical": False},
]


def asked(cascade: dict[str, Any], slices: list[dict[str, Any]] = SLICES) -> Recipe:
    return recipe(slices=slices, cascade={"margin": 0.02, **cascade})


def rows(
    answers: str, *, truth: str | None = None, teacher: str | None = None, logit: Any = 3.0, channel: Any = "app",
    columns: tuple[str, ...] = (),
) -> Both:  # fmt: skip
    """Rows that the student answers with these classes, `logit` apart; truth and teacher are `a` where not given."""
    n = len(answers)

    def logits(said: str, apart: Any) -> Any:
        sign = np.array([1.0 if each == "a" else -1.0 for each in said])
        return np.stack([sign * apart, np.zeros(n)], axis=1)

    frame = pl.DataFrame({"prompt_id": [f"{i:05}" for i in range(n)], "label": list(truth or "a" * n)})
    frame = frame.with_columns(channel=pl.Series(np.broadcast_to(channel, n).tolist()))
    return Both(frame, logits(answers, logit), logits(teacher or truth or "a" * n, 5.0), (1.0, 1.0), TASK, columns)


def test_the_threshold_is_that_of_the_search_over_all_rows() -> None:
    generator = np.random.default_rng(1)
    apart = generator.uniform(0, 6, 1000)
    wrong = generator.random(1000) < 0.4 * np.exp(-apart)
    both = rows("".join("b" if each else "a" for each in wrong), logit=apart)
    found, cannot = calibrated(asked({}), both)
    expected = cascade_threshold(1 / (1 + np.exp(-apart)), np.ones(1000, bool), ~wrong, margin=0.02)
    assert found == Rule(threshold=expected, protected=()) and cannot == ()
    assert expected.threshold is not None and 0.05 < expected.handed_on < 0.8
    assert both.handed_on(found).mean() == pytest.approx(expected.handed_on), "a server hands on the same rows"


def test_too_few_rows_prove_nothing_and_all_goes_to_the_teacher() -> None:
    found, _ = calibrated(asked({}), rows("a" * 50))  # 0.98 ** 50 = 0.36
    assert found.threshold.threshold is None and found.threshold.handed_on == 1.0


def test_a_slice_that_fails_is_protected_where_callers_say_so_and_named_where_they_do_not() -> None:
    by_post = np.arange(600) < 60
    answers = "b" * 60 + "a" * 540
    channel = np.where(by_post, "post", "app")
    alone, cannot = calibrated(asked({}), rows(answers, channel=channel))
    assert cannot == ("by_post",) and alone.protected == () and alone.threshold.handed_on == 1.0
    both = rows(answers, channel=channel, columns=("channel",))
    found, cannot = calibrated(asked({"request_columns": ["channel"]}), both)
    (protected,) = found.protected
    assert (protected.name, protected.declared, cannot) == ("by_post", False, ())
    assert found.threshold.threshold is not None and found.threshold.lost == 0
    assert (both.handed_on(found) == by_post).all()
    assert found.threshold.handed_on == pytest.approx(0.1)


def test_a_slice_of_a_class_is_known_by_what_the_student_answers() -> None:
    truth = "a" * 500 + "b" * 100
    both = rows("a" * 500 + "a" * 50 + "b" * 50, truth=truth)
    found, cannot = calibrated(asked({}), both)
    assert [each.name for each in found.protected] == ["bees"] and cannot == ()
    assert both.protected(found.protected).tolist() == [False] * 550 + [True] * 50
    terms = terms_of(asked({}), found)
    assert "bees" in {each.name for each in terms.slices}, "what the student takes for another class is not protected"


def test_a_cascade_proves_its_own_margin_and_slices_theirs() -> None:
    declared = asked({"protect": ["by_post"], "request_columns": ["channel"]})
    found, _ = calibrated(declared, rows("a" * 300, columns=("channel",)))
    terms = terms_of(declared, found)
    assert terms.bar.margin == 0.02
    assert [(each.name, each.margin) for each in terms.slices] == [("bees", declared.bar.margin)]
    assert terms.behaviour == () and terms.stress is None
    free = terms_of(asked({}), found.model_copy(update={"protected": ()}))
    assert [(each.name, each.margin) for each in free.slices] == [("by_post", 0.1), ("bees", declared.bar.margin)]


def test_of_who_answers_the_outputs_count_at_their_own_temperature() -> None:
    both = rows("aab", logit=2.0)
    cooled = Both(both.rows, both.student, both.teacher, (2.0, 5.0), TASK)
    outputs = cooled.outputs(np.array([False, True, False]))
    assert outputs.tolist() == [[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]]


def test_other_shares_give_what_counting_gives() -> None:
    """Ten rows, the least sure first: the student is wrong in the first three, the teacher in the first and last."""
    both = rows("bbbaaaaaaa", teacher="baaaaaaaab", logit=np.arange(1.0, 11.0))
    found = {each.to_teacher: each for each in swept(both, (), teacher_usd=2.0, student_usd=0.1)}
    assert [*found] == [0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0]
    assert [each.accuracy for each in found.values()] == [0.7, 0.7, 0.8, 0.9, 0.9, 0.9, 0.8]
    assert [each.usd_per_1000_calls for each in found.values()] == pytest.approx([0.1, 0.3, 0.5, 0.7, 1.1, 1.5, 2.1])
    assert found[1.0].threshold is None and found[0.3].threshold == pytest.approx(1 / (1 + np.exp(-4.0)))


def test_what_is_protected_is_in_every_share_and_what_is_as_sure_is_answered_alike() -> None:
    by_post = ProtectedSlice(name="by_post", column="channel", values=("post",), declared=True)
    both = rows("a" * 10, channel=["post"] * 4 + ["app"] * 6, columns=("channel",))
    found = swept(both, (by_post,), None, None)
    assert [each.to_teacher for each in found] == [0.4, 1.0], "six rows are as sure as each other"
    assert {each.usd_per_1000_calls for each in found} == {None}


def test_of_sets_of_labels_the_whole_set_is_unsure_and_each_label_of_it_can_be_protected() -> None:
    """The student adds a wrong `b` to each tenth row, as sure of it as of all; the teacher is right."""
    task, n = MultiLabel(("a", "b", "c")), 600
    truth = np.where(np.arange(n) % 2, 1, 4)  # {a} and {c}
    said = np.where(np.arange(n) % 10 == 0, truth | 2, truth)
    labels = pl.DataFrame({"prompt_id": [f"{i:05}" for i in range(n)], "label": task.written(truth)})
    both = Both(labels, task.stated(said, 0.9), task.stated(truth, 0.99), (1.0, 1.0), task)
    slices = [{"name": "with_b", "column": "label", "values": ["b"], "critical": False}]
    of_sets = {"data__answer": "multi_label", "behaviour": [], "sensitive": [], "slices": slices}
    students = [{"name": "one", "layers": [0], "training": {"loss": "bce"}}]
    protecting = recipe(**of_sets, students=students, cascade={"margin": 0.02, "protect": ["with_b"]})
    found, cannot = calibrated(protecting, both)
    assert [each.name for each in found.protected] == ["with_b"] and cannot == ()
    assert both.handed_on(found).tolist() == (np.arange(n) % 10 == 0).tolist(), "those whose answer has b"
    assert both.confidence == pytest.approx(0.9) and found.threshold.lost == 0
    table = both.table(found)
    assert table["answer"].to_list()[:2] == ['["b","c"]', '["a"]'] and table["student_right"].sum() == 0.9 * n
    outputs = both.outputs(both.handed_on(found))
    assert task.right(outputs, truth).all(), "who answers is right"
