"""Whether the teacher is the model that it is taken for, and worth copying."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

import checks.pinning
import checks.teacher
from checks.teacher import (
    neighbours_are_kept_by_fine_tuning,
    now,
    probability_is_on_the_labels,
    teacher_accuracy_reaches_the_minimum,
    the_fingerprint_is_its_own,
    the_model_outlives_the_next_round,
    the_pilots_answers_can_be_read,
    the_teacher_began_with_pinned_weights,
    weights_are_whole_and_safe,
)
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.stages.facts import LanguageModelFacts, TeacherFacts
from stillhouse.stages.names import BASELINES, MODEL, TEACHER
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.forgetting import NeighboursKept
from stillhouse.teachers.pinning import Pin
from stillhouse.teachers.stored import StoredTeacher
from tests.checks.hand_made import (
    FAIL,
    INCONCLUSIVE,
    PASS,
    answer_of,
    artifact,
    ensemble_recipe,
    recipe,
    said_facts,
    teacher_facts,
)
from tests.faults.bench import Fault
from tests.faults.plants import altered, edit_weights, not_a_number, trained_and
from tests.faults.teacher import (
    asks_too_much,
    began_with_other_weights,
    behind_a_server,
    forgets_what_was_alike,
    of_another_teacher,
    speaks_of_something_else,
    unreadable_as_published,
)
from tests.protocol import Server, serving
from tests.stillhouse.teachers.asked import teacher as endpoint


def test_the_published_weights_are_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    record = SimpleNamespace(parameters=1234, tensors=5)
    monkeypatch.setattr(checks.teacher, "verify_weights", lambda folder: record)
    assert answer_of(weights_are_whole_and_safe) == (PASS, "1,234 finite weights in 5 tensors, no pickle")


def test_the_fingerprint_on_record_is_that_of_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = artifact(SimpleNamespace(fingerprint="a" * 64, said=None))
    for found, verdict in (("a" * 64, PASS), ("b" * 64, FAIL)):
        monkeypatch.setattr(checks.teacher, "fingerprint_of", lambda folder, found=found: found)
        assert answer_of(the_fingerprint_is_its_own, teacher) == (
            verdict,
            f"recorded {'a' * 12}, computed {found[:12]}",
        )


def test_the_fingerprint_of_stored_answers_is_counted_again_from_them(tmp_path: Path) -> None:
    task, answers = SingleLabel(("A", "B")), pl.DataFrame({"prompt_id": ["p"], "answer": ["A"], "failure": [None]})
    recorded = StoredTeacher(answers, 0.9, task).fingerprint
    teacher = artifact(teacher_facts(kind=TeacherKind.STORED, fingerprint=recorded, said=said_facts()), folder=tmp_path)
    answers.write_parquet(tmp_path / "answers.parquet")
    assert answer_of(the_fingerprint_is_its_own, teacher)[0] is PASS
    answers.with_columns(answer=pl.lit("B")).write_parquet(tmp_path / "answers.parquet")
    assert answer_of(the_fingerprint_is_its_own, teacher)[0] is FAIL


def test_the_weights_that_were_trained_on_are_held_against_the_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.pinning, "pin_of", lambda *asked: Pin("a" * 64))
    for began, verdict in (("a" * 64, PASS), ("b" * 64, FAIL)):
        teacher = artifact(teacher_facts(base_fingerprint=began))
        assert answer_of(the_teacher_began_with_pinned_weights, teacher)[0] is verdict


@pytest.mark.parametrize(("right", "verdict"), [(90, PASS), (89, FAIL)])
def test_the_accuracy_itself_has_to_hold_the_minimum(right: int, verdict: object) -> None:
    teacher = artifact(SimpleNamespace(validation_right=right, validation_rows=100))
    found = answer_of(teacher_accuracy_reaches_the_minimum, teacher, recipe=recipe(teacher__minimum_accuracy=0.9))
    assert found[0] is verdict
    assert found[1].startswith(f"accuracy 0.{right}0 on 100 validation rows (0.8")
    assert found[1].endswith(", minimum 0.900")


def test_without_validation_rows_nothing_is_known() -> None:
    teacher = artifact(SimpleNamespace(validation_right=0, validation_rows=0))
    said = (INCONCLUSIVE, "there are no labelled validation rows to measure it on")
    assert answer_of(teacher_accuracy_reaches_the_minimum, teacher) == said
    one = artifact(SimpleNamespace(validation_right=1, validation_rows=1))
    assert answer_of(teacher_accuracy_reaches_the_minimum, one)[0] is PASS


def of_two(right: int = 95, began: str = "a" * 64) -> TeacherFacts:
    """Facts of an ensemble whose second member is right on so many of 100 rows, and began with these weights."""
    one, two = (
        teacher_facts(validation_right=each, base_fingerprint=of) for each, of in ((95, "c" * 64), (right, began))
    )
    return teacher_facts(
        kind=TeacherKind.ENSEMBLE, validation_right=96, base_fingerprint="d" * 64, members={"one": one, "two": two}
    )


@pytest.mark.parametrize(("right", "verdict"), [(50, PASS), (49, FAIL)])
def test_each_member_has_to_hold_its_own_minimum(right: int, verdict: object) -> None:
    found = answer_of(teacher_accuracy_reaches_the_minimum, artifact(of_two(right=right)), recipe=ensemble_recipe())
    assert found[0] is verdict
    assert (found[1] == "member two: accuracy 0.490 on 100 validation rows, minimum 0.500") == (verdict is FAIL)


@pytest.mark.parametrize(("began", "verdict"), [("a" * 64, PASS), ("b" * 64, FAIL)])
def test_each_member_has_to_begin_with_the_weights_that_are_pinned_for_it(
    began: str, verdict: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = {"base": "d" * 64, "teacher.ensemble.members.one": "c" * 64, "teacher.ensemble.members.two": "a" * 64}
    monkeypatch.setattr(checks.pinning, "pin_of", lambda *about: Pin(pins[about[-1]]))
    found = answer_of(the_teacher_began_with_pinned_weights, artifact(of_two(began=began)), recipe=ensemble_recipe())
    assert found[0] is verdict
    assert ("in the recipe's teacher.ensemble.members.two" in found[1]) == (verdict is FAIL)


def test_a_member_that_is_a_language_model_has_to_be_the_pinned_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pins = {"base": "d" * 64, "teacher.ensemble.members.one": "c" * 64, "teacher.ensemble.members.two": "e" * 64}
    monkeypatch.setattr(checks.pinning, "pin_of", lambda *about: Pin(pins[about[-1]]))
    asked = ensemble_recipe(kind="causal_lm", training=None)
    for weights, verdict in (("e" * 64, PASS), ("f" * 64, FAIL)):
        two = teacher_facts(
            kind=TeacherKind.CAUSAL_LM, base_fingerprint="d" * 64, said=said_facts(label_mass=0.95),
            language_model=LanguageModelFacts(fingerprint=weights, bytes=1),
        )  # fmt: skip
        facts = of_two().model_copy(update={"members": {**of_two().members, "two": two}})
        assert answer_of(the_teacher_began_with_pinned_weights, artifact(facts), recipe=asked)[0] is verdict


def test_the_weights_of_each_member_are_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def verify(folder: Path) -> SimpleNamespace:
        looked.append(folder.as_posix())
        return SimpleNamespace(parameters=1, tensors=1)

    monkeypatch.setattr(checks.teacher, "verify_weights", verify)
    assert answer_of(weights_are_whole_and_safe, recipe=ensemble_recipe())[0] is PASS
    assert looked == [f"/nowhere/{place}model" for place in ("", "members/one/", "members/two/")]


@pytest.mark.parametrize(
    ("asked", "found", "verdict", "says"),
    [
        (None, None, PASS, "asked where teacher.neighbours_kept_at_least says how many"),
        (0.5, None, INCONCLUSIVE, "the teacher was made before this was asked: materialize it again"),
        (0.5, (49, 49), INCONCLUSIVE, "49 texts are too few to say; at least 50 are needed"),
        (0.5, (400, 240), PASS, "60% of 400 texts (55% to 65%) have their nearest text among the 10 nearest"),
        (0.62, (400, 240), INCONCLUSIVE, "60% of 400 texts"),
        (0.66, (400, 240), FAIL, "60% of 400 texts"),
    ],
)
def test_an_encoder_that_forgets_its_neighbours_closes_where_it_is_to_be_of_use_elsewhere(
    asked: float | None, found: tuple[int, int] | None, verdict: object, says: str
) -> None:
    kept = None if found is None else NeighboursKept(texts=found[0], kept=found[1])
    teacher = artifact(SimpleNamespace(neighbours=kept))
    how = recipe() if asked is None else recipe(teacher__neighbours_kept_at_least=asked)
    state, sentence = answer_of(neighbours_are_kept_by_fine_tuning, teacher, recipe=how)
    assert state is verdict and sentence.startswith(says)
    assert ("lower learning_rate" in sentence) is (found == (400, 240) and verdict is not PASS)


@pytest.mark.parametrize(
    ("mass", "verdict"), [(None, PASS), (0.9, PASS), (0.89, FAIL)], ids=["none is taught", "enough", "too little"]
)
def test_probability_that_is_not_on_the_labels_closes(mass: float | None, verdict: object) -> None:
    teacher = artifact(teacher_facts(kind=TeacherKind.ENDPOINT, said=said_facts(label_mass=mass)))
    state, sentence = answer_of(probability_is_on_the_labels, teacher)
    assert state is verdict
    assert (
        mass is None or f"{mass:.0%} of the probability is on the letters of the labels, at least 90% asked" in sentence
    )


def test_the_member_with_the_least_probability_on_labels_decides() -> None:
    masses = {"server": (TeacherKind.ENDPOINT, 0.95), "model": (TeacherKind.CAUSAL_LM, 0.4)}
    members = {
        name: teacher_facts(kind=kind, said=said_facts(label_mass=mass)) for name, (kind, mass) in masses.items()
    }
    facts = teacher_facts(kind=TeacherKind.ENSEMBLE, members={"encoder": teacher_facts(), **members})
    state, sentence = answer_of(probability_is_on_the_labels, artifact(facts))
    assert state is FAIL and sentence.startswith("member model: 40% of the probability is on the labels, at least 90%")


@pytest.mark.parametrize(("silent", "verdict"), [(5, PASS), (6, FAIL)])
def test_a_pilot_of_which_few_answers_can_be_read_closes(silent: int, verdict: object) -> None:
    said = said_facts(failures={"no label": silent - 1, "cut off": 1}, usd_a_prompt=0.01)
    teacher = artifact(teacher_facts(kind=TeacherKind.ENDPOINT, said=said))
    state, sentence = answer_of(the_pilots_answers_can_be_read, teacher)
    assert state is verdict
    assert sentence.startswith(f"{silent} of 100 texts have no answer that counts ({silent - 1} no label, 1 cut off): ")
    assert ("write a prompt" in sentence) is (verdict is FAIL)
    stored = artifact(teacher_facts(kind=TeacherKind.STORED, said=said_facts(failures={"not asked": 50})))
    assert answer_of(the_pilots_answers_can_be_read, stored) == (PASS, "asked of models behind a server")


@pytest.mark.parametrize(
    ("ends", "verdict", "says"),
    [
        ({"m": None}, PASS, "its server names no day on which m ends"),
        (404, PASS, "its server names no day on which m ends"),
        (501, PASS, "its server names no day on which m ends"),
        (403, PASS, "its server names no day on which m ends"),
        (503, INCONCLUSIVE, "it is not known when m ends: the server does not say what its model is: Error code: 503"),
        ({"m": "2026-11-30"}, FAIL, "m ends on 2026-11-30, and the next round is on 2026-11-30: choose one that stays"),
        ({"m": "2026-12-01T00:00:00Z"}, PASS, "m ends on 2026-12-01, and the next round is on 2026-11-30"),
        ({"m": "soon"}, INCONCLUSIVE, "its server says that m ends on 'soon', which is not a day"),
    ],
)
def test_a_model_that_ends_before_the_next_round_closes(
    ends: dict[str, str | None] | int, verdict: object, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Asked of the server itself, which may know of no day, or have no list of its models that this key may read."""
    monkeypatch.setattr(checks.teacher, "now", lambda: datetime(2026, 11, 29, 12, tzinfo=UTC))
    facts = teacher_facts(kind=TeacherKind.ENDPOINT, said=said_facts(usd_a_prompt=0.01))
    weekly = recipe(refresh__cron="0 3 * * 1")
    with serving(Server(lambda asked: "A", models=ends)) as server:
        asked = endpoint(server, tmp_path, attempts=1)
        model = asked.asking.model
        server.models = ends if isinstance(ends, int) else {model: ends["m"]}
        monkeypatch.setattr(checks.teacher, "teachers_of", lambda *about: {"": asked})
        state, sentence = answer_of(the_model_outlives_the_next_round, artifact(facts), recipe=weekly)
        assert state is verdict and sentence.replace(model, "m").startswith(says)
        assert server.calls == 0, "it costs nothing"
    monkeypatch.setattr(checks.teacher, "teachers_of", lambda *about: {"": endpoint(server, tmp_path, attempts=1)})
    gone = answer_of(the_model_outlives_the_next_round, artifact(facts), recipe=weekly)
    assert gone[0] is INCONCLUSIVE and "it is not known when" in gone[1]
    assert answer_of(the_model_outlives_the_next_round, artifact(teacher_facts()))[0] is PASS


FAULTS = [
    Fault(
        "the teacher is too weak", TEACHER, "teacher_accuracy_reaches_the_minimum", asks_too_much,
        "minimum 0.990", refuses=BASELINES,
    ),
    Fault(
        "a bit of the published teacher has flipped", TEACHER, None,
        altered(TEACHER, f"{MODEL}/model.safetensors"), "the content was altered", look_only=True,
    ),
    Fault(
        "the published teacher cannot be read back", TEACHER, "weights_are_whole_and_safe", unreadable_as_published,
        "the weights end too early", state="stale",
    ),
    Fault(
        "the fingerprint is of other weights", TEACHER, "the_fingerprint_is_its_own", of_another_teacher, "recorded",
    ),
    Fault(
        "the teacher was trained on exchanged weights", TEACHER, "the_teacher_began_with_pinned_weights",
        began_with_other_weights, "trusted since their first use on", refuses=BASELINES,
    ),
    Fault(
        "the teacher's letters are not what it wants to say", TEACHER, "probability_is_on_the_labels",
        speaks_of_something_else, "41% of the probability is on the letters of the labels", refuses=BASELINES,
    ),
    Fault(
        "a server's answers are no labels", TEACHER, "the_pilots_answers_can_be_read",
        behind_a_server(None, failures={"no label": 3}), "3 of 30 texts have no answer that counts", refuses=BASELINES,
    ),
    Fault(
        "a server's model ends before the next round", TEACHER, "the_model_outlives_the_next_round",
        behind_a_server(now().date().isoformat()), "and the next round is on", refuses=BASELINES,
    ),
    Fault(
        "fine-tuning draws the texts of a class together", TEACHER, "neighbours_are_kept_by_fine_tuning",
        forgets_what_was_alike, "nearest after fine-tuning, at least 99% asked", refuses=BASELINES,
    ),
    Fault(
        "the teacher's weights hold a not-a-number", TEACHER, None,
        trained_and(TEACHER, lambda folder: edit_weights(folder, not_a_number)), "holds NaN or infinity",
    ),
]  # fmt: skip
