"""An answer is a record that is right as a whole, of fields each of which is one answer of several."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.models.losses import TargetTensors, combined_loss
from stillhouse.models.temperature_scaling import temperature_of
from stillhouse.recipe.losses import OF_RECORDS, LossTerm
from stillhouse.recipe.record import RecordSpec
from stillhouse.recipe.training import TrainingConfig
from stillhouse.tasks import as_people_read_it, counts_as_people_read_them, label_names, one_name_a_row, task_of
from stillhouse.tasks.extraction import IMPOSSIBLE, UNKNOWN, Extraction
from stillhouse.tasks.records import placed, spelled_out
from stillhouse.tasks.task import Doubt
from stillhouse.tasks.words import words_of

SPEC = RecordSpec.model_validate(
    {
        "words": 5,
        "fields": {
            "buyer": {"kind": "verbatim", "words_at_most": 2},
            "due": {"kind": "verbatim", "words_at_most": 1, "optional": True},
            "money": {"kind": "choice", "of": ["EUR", "USD"]},
            "tone": {"kind": "choice", "of": ["kind", "stern"], "optional": True},
        },
    }
)
TASK = Extraction(SPEC)
RECORD = '{"buyer":[2,2],"due":null,"money":"USD","tone":"kind"}'
OTHER = '{"buyer":[2,1],"due":[4,1],"money":"USD","tone":null}'
MOST = 10 * 6 * 2 * 3
ANY = st.integers(0, MOST - 1)


def outputs(*records: str | int) -> np.ndarray:
    """What a model gives that is sure of these."""
    numbers = [each if isinstance(each, int) else int(TASK.targets(pl.Series([each]))[0]) for each in records]
    return TASK.stated(np.array(numbers), 0.9)


def test_each_output_has_a_name_and_every_field_its_own() -> None:
    assert len(TASK.names) == len(set(TASK.names)) == 10 + 6 + 2 + 3
    assert TASK.names[:3] == ("buyer: 0+1", "buyer: 0+2", "buyer: 1+1")
    assert TASK.names[10:12] == ("due: none", "due: 0+1") and TASK.names[-3:] == (
        "tone: none",
        "tone: kind",
        "tone: stern",
    )


def test_how_often_an_answer_was_given_is_told_in_the_words_of_the_text() -> None:
    counts = TASK.counts(TASK.targets(pl.Series([RECORD, RECORD, OTHER])))
    assert counts_as_people_read_them(TASK, counts.tolist(), "Pay the Acme Bank now") == {
        "buyer: Acme Bank": 2, "buyer: Acme": 1, "due: none": 2, "due: now": 1, "money: USD": 3, "tone: kind": 2,
        "tone: none": 1,
    }  # fmt: skip
    nothing = TASK.counts(TASK.targets(pl.Series([], dtype=pl.String)))
    assert counts_as_people_read_them(TASK, nothing.tolist(), "Pay") == {}
    labels = task_of("single_label", ("access", "billing"))
    assert counts_as_people_read_them(labels, [0, 3], "any") == {"access": 0, "billing": 3}


@given(number=ANY)
def test_a_record_is_written_as_it_is_read(number: int) -> None:
    (written,) = TASK.written(np.array([number]))
    labels = pl.Series([written, None])
    assert TASK.holds(labels).to_list() == [True, False]
    assert TASK.targets(labels).tolist() == [number, UNKNOWN]
    assert TASK.answers(outputs(number)).tolist() == [number]
    assert TASK.known(TASK.targets(labels)).tolist() == [True, False]


@pytest.mark.parametrize(
    "label",
    [
        "", "EUR", "[]", "{}", "[" * 5000,
        RECORD.replace("[2,2]", "[2,3]"), RECORD.replace("[2,2]", "[5,1]"), RECORD.replace("[2,2]", "null"),
        RECORD.replace("[2,2]", '"Acme"'), RECORD.replace("[2,2]", "[[2],2]"), RECORD.replace("[2,2]", "[2.0,2]"),
        RECORD.replace("[2,2]", "[true,2]"), RECORD.replace("USD", "GBP"), RECORD.replace(",", ", "),
        RECORD.replace('"due":null,', ""), RECORD.replace('"tone":"kind"', '"tone":"kind","tax":"1"'),
    ],
)  # fmt: skip
def test_what_is_no_record_of_these_fields_is_not_held(label: str) -> None:
    assert TASK.holds(pl.Series([RECORD, label])).to_list() == [True, False]
    with pytest.raises(ValueError, match="is no record of buyer, due, money, tone"):
        TASK.targets(pl.Series([label]))


def test_a_record_is_right_where_every_field_is() -> None:
    truth = TASK.targets(pl.Series([RECORD, RECORD, None]))
    said = outputs(RECORD, OTHER, RECORD)
    assert TASK.right(said, truth).tolist() == [True, False, False]
    assert TASK.right_fields(said[:2], truth[:2]).tolist() == [[True] * 4, [False, False, True, False]]
    assert TASK.agree(said, said[::-1]).tolist() == [True, True, True]


@given(numbers=st.lists(ANY, min_size=1, max_size=6), accuracy=st.floats(0.01, 0.99))
def test_what_was_said_stays_the_answer_and_is_worth_what_is_known_of_it(numbers: list[int], accuracy: float) -> None:
    truth = np.array(numbers)
    said = TASK.stated(truth, accuracy)
    assert TASK.right(said, truth).all()
    assert TASK.confidence(said) == pytest.approx(np.full(len(numbers), max(accuracy, TASK.confidence(said).min())))
    assert TASK.right(TASK.unanswered(truth, right=True), truth).all()
    assert not TASK.right(TASK.unanswered(truth, right=False), truth).any()


@given(numbers=st.lists(ANY, min_size=1, max_size=9))
def test_what_several_say_is_of_each_field_what_most_say(numbers: list[int]) -> None:
    said = np.array(numbers)
    (majority,) = TASK.majority(said)
    for number, field in enumerate(TASK.in_fields(said).T):
        counts = np.bincount(field)
        assert counts[TASK.in_fields(np.array([majority]))[0, number]] == counts.max()
    assert TASK.answers(TASK.voted(said, 0.9)[None]).tolist() == [majority]
    assert TASK.answers(TASK.constant(said)[None]).tolist() == [majority]


@given(seed=st.integers(0, 99))
def test_a_divergence_is_the_sum_of_those_of_the_fields_and_none_from_oneself(seed: int) -> None:
    teacher, student = np.random.default_rng(seed).normal(size=(2, 3, 21))
    expected = np.zeros(3)
    for start, end in ((0, 10), (10, 16), (16, 18), (18, 21)):
        said, heard = (np.exp(each[:, start:end]) for each in (teacher, student))
        said, heard = said / said.sum(1, keepdims=True), heard / heard.sum(1, keepdims=True)
        expected += (said * np.log(said / heard)).sum(1)
    assert TASK.divergence(teacher, student) == pytest.approx(expected)
    assert TASK.divergence(teacher, teacher) == pytest.approx(np.zeros(3), abs=1e-12)


def test_what_a_text_has_no_words_for_counts_on_neither_side() -> None:
    teacher, student = np.random.default_rng(0).normal(size=(2, 1, 21))
    short = student.copy()
    short[:, 4:10] = IMPOSSIBLE
    cut = teacher.copy()
    cut[:, 4:10] = IMPOSSIBLE
    assert TASK.divergence(teacher, short) == pytest.approx(TASK.divergence(cut, short))
    kl = TASK.teacher_losses["kl"].cost
    sides = [torch.from_numpy(each) for each in (short, teacher, cut)]
    assert kl(sides[0], sides[1], LossTerm(loss="kl")).tolist() == kl(sides[0], sides[2], LossTerm(loss="kl")).tolist()
    nowhere = short.copy()
    nowhere[:, :10] = IMPOSSIBLE
    assert np.isfinite(TASK.divergence(teacher, nowhere)).all(), "a text whose words were all left out"


@given(seed=st.integers(0, 99))
@pytest.mark.parametrize("loss", sorted(OF_RECORDS))
def test_a_loss_moves_a_student_and_never_by_what_is_impossible(loss: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    student = torch.from_numpy(random.normal(size=(4, 21))).requires_grad_()
    given_ = torch.where(torch.arange(21) >= 8, student, torch.where(torch.arange(21) < 6, student, IMPOSSIBLE))
    labels = np.array([UNKNOWN, 0, int(TASK.targets(pl.Series([OTHER]))[0]), 3 + 10 * 2])
    targets = TargetTensors(
        torch.from_numpy(labels),
        torch.from_numpy(labels >= 0),
        teacher_logits=torch.from_numpy(random.normal(size=(4, 21))),
    )
    cost = combined_loss(
        given_,
        torch.zeros(4, 1, dtype=torch.float64),
        targets,
        task=TASK,
        config=TrainingConfig(loss=loss),  # type: ignore[arg-type]
    )
    assert torch.isfinite(cost)
    (gradient,) = torch.autograd.grad(cost, student)
    assert torch.isfinite(gradient).all() and gradient[:, 6:8].abs().max() == 0
    assert gradient[1].abs().max() > 0 and (loss != "labels" or gradient[0].abs().max() == 0)


def test_a_label_whose_words_were_not_read_costs_nothing() -> None:
    """Else every step would lower all that is possible, towards what is not."""
    said = torch.zeros(1, 21, dtype=torch.float64)
    truth = torch.from_numpy(TASK.targets(pl.Series([RECORD])))
    whole = float(TASK.label_loss(said, truth))
    assert whole == pytest.approx((np.log(10) + np.log(6) + np.log(2) + np.log(3)) / 4)
    cut = said.clone()
    cut[:, 5:10] = IMPOSSIBLE
    assert float(TASK.label_loss(cut, truth)) == pytest.approx((np.log(6) + np.log(2) + np.log(3)) / 4)


def test_an_answer_is_a_value_and_no_place() -> None:
    """What stands at two places is as probable as both together, and is answered at the first."""
    text = "Pay Acme or Acme now"
    given_ = outputs(RECORD)
    given_[:, :10] = 0.0
    given_[0, TASK.names.index("buyer: 4+1")] = 0.5
    assert "[4,1]" in TASK.written(TASK.answers(given_))[0]
    (row,) = TASK.once_each(given_, [text])
    assert "[1,1]" in TASK.written(TASK.answers(row[None]))[0]
    assert row[TASK.names.index("buyer: 1+1")] == pytest.approx(np.log(2))
    assert row[TASK.names.index("buyer: 3+1")] == IMPOSSIBLE
    assert given_[0, TASK.names.index("buyer: 3+1")] == 0.0, "what was given stays"
    assert TASK.once_each(given_, ["Pay Acme or Coyote now"]).tolist() == given_.tolist()


@given(words=st.lists(st.sampled_from(["a", "b", "."]), min_size=1, max_size=5), number=ANY)
def test_the_place_of_an_answer_is_where_its_label_would_be(words: list[str], number: int) -> None:
    text = " ".join(words)
    given_ = outputs(number)
    (written,) = TASK.written(TASK.answers(TASK.once_each(given_, [text])))
    first, length = TASK.fields[0].values[TASK.in_fields(np.array([number]))[0, 0]]  # type: ignore[misc]
    due = TASK.fields[1].values[TASK.in_fields(np.array([number]))[0, 1]]
    if first + length <= len(words) and (due is None or due[0] < len(words)):  # type: ignore[operator]
        assert placed(spelled_out(written, text, SPEC), text, SPEC) == written


NUMBERS = Extraction(
    RecordSpec.model_validate({"words": 5, "fields": {
        "net": {"kind": "number", "words_at_most": 2, "optional": True}, "sum": {"kind": "number", "words_at_most": 1},
    }})
)  # fmt: skip


def said_of(text: str, **liked: tuple[int, int] | None) -> str:
    """What is answered to a text by a model that likes these best of each field."""
    given_ = np.zeros((1, len(NUMBERS.names)))
    for field in NUMBERS.fields:
        field.of(given_)[0, field.number_of(liked[field.name])] = 5.0
    (written,) = NUMBERS.written(NUMBERS.answers(NUMBERS.once_each(given_, [text])))
    return spelled_out(written, text, NUMBERS.spec)


def test_of_a_number_nothing_else_is_answered() -> None:
    assert said_of("Pay 12.50 to Acme", net=(3, 2), sum=(0, 1)) == '{"net":null,"sum":12.5}', "a tie has the first"
    assert said_of("Pay 12.50 or -7,5", net=(3, 2), sum=(4, 1)) == '{"net":-7.5,"sum":7.5}'
    assert said_of("Pay nothing at all", net=None, sum=(1, 1)) == '{"net":null,"sum":null}', "there is none"
    assert said_of("Pay 1,931 or 7", net=(1, 1), sum=(1, 1)) == '{"net":null,"sum":7}', "that may be two numbers"


def test_a_number_that_is_written_in_two_ways_is_one_answer() -> None:
    given_ = np.zeros((1, len(NUMBERS.names)))
    total = NUMBERS.fields[1]
    total.of(given_)[0, total.number_of((1, 1))] = 0.5
    (row,) = NUMBERS.once_each(given_, ["12.50 7 is 12,5"])
    assert total.of(row)[total.number_of((0, 1))] == pytest.approx(np.log(2))
    assert total.of(row)[total.number_of((3, 1))] == IMPOSSIBLE == total.of(row)[total.number_of((2, 1))]
    assert json.loads(NUMBERS.written(NUMBERS.answers(row[None]))[0])["sum"] == [0, 1]
    assert (given_ == 0).sum() == given_.size - 1, "what was given stays"


def test_of_a_date_nothing_else_is_answered_and_two_spellings_are_one() -> None:
    spec = RecordSpec.model_validate({"words": 9, "fields": {"due": {"kind": "date", "order": "day_first"}}})
    task = Extraction(spec)
    given_ = np.zeros((1, len(task.names)))
    (row,) = task.once_each(given_, ["Due 2 May 2026 or 02.05.2026, 2026-05-01 is past"])
    assert task.written(task.answers(row[None])) == ['{"due":[1,3]}']
    assert (row > IMPOSSIBLE).sum() == 2 and row[task.fields[0].number_of((1, 3))] == pytest.approx(np.log(2))


@given(
    words=st.lists(st.sampled_from(["7", "7.0", "-7", "12", "a", "1,931", "1 931"]), min_size=1, max_size=3),
    liked=st.tuples(st.integers(0, 4), st.integers(1, 2)),
)
def test_the_place_of_a_number_that_is_answered_is_where_its_label_would_be(
    words: list[str], liked: tuple[int, int]
) -> None:
    text = " ".join(words)
    said = json.loads(said_of(text, net=liked, sum=(0, 1)))
    if said["sum"] is not None and len(words_of(text)) <= 5:
        places = placed(json.dumps(said), text, NUMBERS.spec)
        assert json.loads(spelled_out(places, text, NUMBERS.spec)) == said


def test_a_record_is_doubted_where_it_is_another_or_one_field_is_a_guess() -> None:
    labels = TASK.targets(pl.Series([RECORD, RECORD, None, None, None]))
    mostly_sure, guess = TASK.stated(labels[:1], 0.3), outputs(RECORD)
    assert TASK.confidence(mostly_sure) == pytest.approx([0.3]), "all four at once, and each of them 0.74"
    TASK.fields[-1].of(guess)[...] = 0
    said = np.concatenate([outputs(RECORD, OTHER, RECORD), mostly_sure, guess])
    assert TASK.doubts(said, labels) == [None, Doubt.CONTRADICTS_LABEL, None, None, Doubt.NO_PREFERENCE]


def test_a_temperature_is_fitted() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, MOST, 300)
    said = TASK.stated(np.where(random.random(300) < 0.7, truth, random.integers(0, MOST, 300)), 0.999)
    assert temperature_of(TASK, said, truth) > 1.2


def test_a_margin_is_that_of_the_field_that_is_least_sure() -> None:
    said = np.zeros((1, 21))
    said[0, [3, 11, 16, 20]] = [5.0, 4.0, 0.25, 3.0]
    assert TASK.margin(said) == pytest.approx([0.25])


def test_of_records_the_fields_have_names_and_no_row_one() -> None:
    labels = pl.Series([None, RECORD])
    assert label_names("fields", labels) == ("buyer", "due", "money", "tone")
    assert (
        label_names("fields", labels[:1]) == () and one_name_a_row("fields", pl.DataFrame({"label": labels})).is_empty()
    )
    task: Any = task_of("fields", (), SPEC)
    assert task == TASK and as_people_read_it(task, RECORD, "a b c d e").startswith('{"buyer":"c d","due":null')
