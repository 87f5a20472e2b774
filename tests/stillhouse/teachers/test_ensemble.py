"""Several teachers as one, held against arithmetic by hand."""

from dataclasses import dataclass, field, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from stillhouse.digests import digest_of
from stillhouse.recipe.record import RecordSpec
from stillhouse.recipe.teacher import Combination
from stillhouse.records.ledger import Ledger
from stillhouse.tasks.extraction import IMPOSSIBLE, Extraction
from stillhouse.tasks.score import NumericScore
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.columns import ANSWER_SCHEMA
from stillhouse.teachers.ensemble import EnsembleTeacher, Member
from stillhouse.teachers.signal import SignalStore
from stillhouse.teachers.stored import Failure

TASK = SingleLabel(("a", "b", "c"))
PROMPTS = pl.DataFrame({"prompt_id": ["q", "p", "r"], "text": ["Q", "P", "R"]})


@dataclass
class Fake:
    """A teacher that says what it is given, by prompt; None stands for no answer."""

    fingerprint: str
    said: dict[str, list[float] | None]
    took: dict[str, list[Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    observed: str | None = None
    says_instead: Failure = Failure.NOT_ASKED

    def verify(self) -> None:
        pass

    def ask(self, prompts: pl.DataFrame) -> pl.DataFrame:
        ids = prompts["prompt_id"].to_list()
        self.asked += ids
        silent = [None if self.said[each] is not None else self.says_instead.value for each in ids]
        return pl.DataFrame(
            {
                **dict.fromkeys(ANSWER_SCHEMA, [None] * len(ids)),
                "prompt_id": ids,
                "fingerprint": [self.fingerprint] * len(ids),
                "logits": [self.said[each] for each in ids],
                "failure": silent,
                "tokens": [2] * len(ids),
                "observed": [None if self.said[each] is None else self.observed for each in ids],
            },
            schema=ANSWER_SCHEMA,
        ).with_columns(**{name: pl.Series(values) for name, values in self.took.items()})


def members() -> list[Member]:
    return [
        Member(Fake("a" * 64, {"q": [0.0, 4.0, 0.0], "p": [0.0, 3.0, 0.0], "r": None}), 2.0, 0.9),
        Member(Fake("b" * 64, {"q": [0.0, 1.0, 0.0], "p": [0.0, 0.0, 1.0], "r": None}), 1.0, 0.8),
        Member(Fake("c" * 64, {"q": None, "p": [0.0, 2.0, 1.0], "r": None}), 1.0, 0.7),
    ]


def log_shares(*logits: float) -> np.ndarray:
    powers = np.exp(np.array(logits))
    return np.log(powers / powers.sum())


def test_log_probabilities_are_averaged_over_the_members_that_answer() -> None:
    said = EnsembleTeacher(members(), Combination.LOG_PROBABILITIES, TASK).ask(PROMPTS)
    assert said["prompt_id"].to_list() == ["q", "p", "r"]
    for row, each in (
        (0, [log_shares(0, 2, 0), log_shares(0, 1, 0)]),
        (1, [log_shares(0, 1.5, 0), log_shares(0, 0, 1), log_shares(0, 2, 1)]),
    ):
        mean = np.exp(np.mean(each, axis=0))
        np.testing.assert_allclose(said["logits"][row], np.log(mean / mean.sum()), rtol=1e-5)
    assert said["logits"][2] is None
    assert said["failure"].to_list() == [None, None, Failure.NOT_ASKED]
    assert said["disagreement"].to_list() == pytest.approx([0.0, 1 / 3, None])
    assert said["tokens"].to_list() == [6, 6, 6]


def test_votes_count_by_what_an_answer_of_each_member_is_worth() -> None:
    said = EnsembleTeacher(members(), Combination.VOTES, TASK).ask(PROMPTS)
    shares = np.array([[0.05, 0.9, 0.05], [0.1, 0.1, 0.8], [0.15, 0.7, 0.15]]).mean(axis=0)
    np.testing.assert_allclose(np.exp(said["logits"][1].to_numpy()), shares, rtol=1e-5)
    np.testing.assert_allclose(np.exp(said["logits"][0].to_numpy()), [0.075, 0.85, 0.075], rtol=1e-5)
    assert said["disagreement"].to_list() == pytest.approx([0.0, 1 / 3, None])


def records() -> tuple[Extraction, list[Member]]:
    """A network that knows that a text has three words, and two files of answers, one of which names another payee."""
    fields = {"payee": {"kind": "verbatim", "words_at_most": 1}, "money": {"kind": "choice", "of": ["EUR", "USD"]}}
    task = Extraction(RecordSpec.model_validate({"fields": fields, "words": 5}))
    said = task.targets(pl.Series(['{"money":"EUR","payee":[1,1]}', '{"money":"EUR","payee":[2,1]}']))
    here, other = task.stated(said, 0.81)
    pointed = [2.0, 0.0, 0.0, 4.0, 0.0, IMPOSSIBLE, IMPOSSIBLE]
    outputs = (pointed, here.tolist(), other.tolist())
    return task, [Member(Fake(f"{number}" * 64, {"p": each}), 1.0, 0.81) for number, each in enumerate(outputs)]


@pytest.mark.parametrize("combine", [Combination.LOG_PROBABILITIES, Combination.VOTES])
def test_records_are_put_together_field_by_field(combine: Combination) -> None:
    task, teachers = records()
    said = EnsembleTeacher(teachers, combine, task).ask(PROMPTS.filter(pl.col("prompt_id") == "p"))
    outputs = np.array(said["logits"].to_list())
    assert task.written(task.answers(outputs)) == ['{"money":"EUR","payee":[1,1]}']
    assert said["disagreement"].to_list() == pytest.approx([1 / 3]), "of whole records"
    for each in task.fields:
        assert np.exp(each.of(outputs)).sum() == pytest.approx(1)
    money, payee = np.exp(task.fields[0].of(outputs)[0]), np.exp(task.fields[1].of(outputs)[0])
    if combine is Combination.VOTES:
        assert money == pytest.approx([0.9, 0.1], rel=1e-5) and payee[1:3] == pytest.approx(
            [0.6 + 0.1 / 12, 0.3 + 0.2 / 12]
        )
    else:
        assert payee[3:] == pytest.approx([0, 0], abs=1e-6), "words that the text does not have"
        assert np.isfinite(outputs).all() and payee[1] > payee[2]


NUMBERS = NumericScore(0.0, 10.0, 1.0)


def who_say(*numbers: tuple[float | None, ...]) -> list[Member]:
    """A member for each, by prompt; outputs go from -1, which is 0, to 1, which is 10."""
    outputs = [[None if each is None else [(each - 5) / 5] for each in said] for said in numbers]
    return [
        Member(Fake(f"{place}" * 64, dict(zip("qpr", said, strict=True))), 1.0, 0.9)
        for place, said in enumerate(outputs)
    ]


def numbers_of(teachers: list[Member], combine: Combination, task: NumericScore = NUMBERS) -> list[tuple[Any, Any]]:
    """What is answered to each prompt, and how many of those that say something are further from it than 1."""
    said = EnsembleTeacher(teachers, combine, task).ask(PROMPTS)
    answers = [None if each is None else round(float(task.numbers(np.array(each))[0]), 4) for each in said["logits"]]
    return [*zip(answers, [None if each is None else round(each, 4) for each in said["disagreement"]], strict=True)]


@pytest.mark.parametrize(
    ("combine", "of_three", "of_two"),
    [
        (Combination.MEAN, (6.0, 0.6667), (6.5, 1.0)),  # of 4, 5 and 9 only 5 is within 1 of 6
        (Combination.MEDIAN, (5.0, 0.3333), (6.5, 1.0)),  # and 4 and 5 of 5; of two the median is their mean
    ],
)
def test_numbers_are_put_together_and_those_disagree_that_are_far_from_the_result(
    combine: Combination, of_three: tuple[float, float], of_two: tuple[float, float]
) -> None:
    said = (4.0, 4.0, None), (5.0, None, None), (9.0, 9.0, None)
    found = numbers_of(who_say(*said), combine)
    assert found == [of_three, of_two, (None, None)], "one without an answer does not stop the others"
    for order in permutations(said):
        assert numbers_of(who_say(*order), combine) == found
    silent = EnsembleTeacher(who_say(*said), combine, NUMBERS).ask(PROMPTS)["failure"]
    assert silent.to_list() == [None, None, Failure.NOT_ASKED.value]


@pytest.mark.parametrize("combine", [Combination.MEAN, Combination.MEDIAN])
def test_members_that_say_the_same_number_give_it_and_do_not_disagree(combine: Combination) -> None:
    alike = (0.1, 3.3333, 10.0)
    for members in (2, 3, 4):
        assert numbers_of(who_say(*[alike] * members), combine) == [(each, 0.0) for each in alike]
    apart = numbers_of(who_say((2.0, 3.0, 0.0), (3.9, 5.0, 1.0), (4.0, 8.0, 8.5)), combine)
    moved = numbers_of(who_say((3.0, 4.0, 1.0), (4.9, 6.0, 2.0), (5.0, 9.0, 9.5)), combine)
    assert moved == [(round(each + 1, 4), share) for each, share in apart], "all of them one higher"


def test_who_is_near_enough_goes_by_the_tolerance_and_another_one_is_another_teacher() -> None:
    teachers = who_say((4.0, 4.0, 0.0), (6.0, 6.1, 10.0))
    assert [share for _, share in numbers_of(teachers, Combination.MEAN)] == [0.0, 1.0, 1.0], "1 apart is within 1"
    wider = replace(NUMBERS, tolerance=1.05)
    assert [share for _, share in numbers_of(teachers, Combination.MEAN, wider)] == [0.0, 0.0, 1.0]
    one, other = (EnsembleTeacher(teachers, Combination.MEAN, task).fingerprint for task in (NUMBERS, wider))
    assert one != other, "what was kept of the one is not read for the other"


def test_the_fingerprint_of_teachers_of_labels_is_what_it_was() -> None:
    """Of the digest of three pairs and the rule, as version 0.2 wrote them; another one asks everybody again."""
    of_members = sorted([each.teacher.fingerprint, each.temperature, each.accuracy] for each in members())
    for combine in (Combination.LOG_PROBABILITIES, Combination.VOTES):
        written = digest_of({"members": of_members, "combine": combine.value})
        assert EnsembleTeacher(members(), combine, TASK).fingerprint == written


def test_its_fingerprint_is_of_the_members_and_the_rule_and_not_of_their_order() -> None:
    whole = EnsembleTeacher(members(), Combination.VOTES, TASK)
    assert whole.fingerprint == EnsembleTeacher(members()[::-1], Combination.VOTES, TASK).fingerprint
    others = [
        EnsembleTeacher(members(), Combination.LOG_PROBABILITIES, TASK),
        EnsembleTeacher(members()[:2], Combination.VOTES, TASK),
        EnsembleTeacher([*members()[:2], Member(members()[2].teacher, 1.5, 0.7)], Combination.VOTES, TASK),
    ]
    assert len({whole.fingerprint, *(each.fingerprint for each in others)}) == 4


def test_what_a_members_server_turned_away_is_put_together_again_once_it_answers(tmp_path: Path) -> None:
    """Of many rows, since which of two shards is read first is chance."""
    ids = [f"q{number}" for number in range(12)]
    prompts = pl.DataFrame({"prompt_id": [*ids, "r"], "text": [*ids, "R"]})
    store = SignalStore(tmp_path / "signal", Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), shard_rows=1)
    steady = Fake("a" * 64, {**{each: [0.0, 1.0, 0.0] for each in ids}, "r": None})
    server = Fake("b" * 64, dict.fromkeys([*ids, "r"]), says_instead=Failure.TURNED_AWAY)
    whole = EnsembleTeacher([Member(steady, 1.0, 0.9), Member(server, 1.0, 0.8)], Combination.VOTES, TASK, store)
    store.capture(prompts, whole)
    assert store.asked_again([*ids, "r"], whole.fingerprint) == {"asked_again": sorted([*ids, "r"])}
    alone = store.read([*ids, "r"], whole.fingerprint)
    assert "unheard" not in alone.columns and alone["disagreement"].to_list() == [*[0.0] * 12, None]
    server.said |= {each: [5.0, 0.0, 0.0] for each in ids}
    for again in range(2):
        store.capture(prompts, whole)
        said = store.read([*ids, "r"], whole.fingerprint)
        assert said["disagreement"].to_list() == [*[0.5] * 12, None], "both are heard"
        assert store.asked_again([*ids, "r"], whole.fingerprint) == {"asked_again": ["r"]}
        assert (steady.asked.count("q3"), server.asked.count("q3")) == (1, 2), again


def test_another_model_behind_a_members_name_is_seen() -> None:
    """What answered the pilot is no news; neither is a member that is silent, or is no server."""
    one, two, three = members()
    assert isinstance(two.teacher, Fake) and isinstance(three.teacher, Fake)
    servers = [one, replace(two, observed="large-May"), replace(three, observed="small-May")]
    two.teacher.observed, three.teacher.observed = "large-May", "small-May"
    whole = EnsembleTeacher(servers, Combination.VOTES, TASK)
    assert whole.ask(PROMPTS)["observed"].to_list() == [None, None, None]
    three.teacher.observed = "small-June"
    assert whole.ask(PROMPTS)["observed"].to_list() == [None, "small-June", None]


def test_what_its_answers_took_is_what_those_of_its_members_did() -> None:
    one, two, three = members()
    assert isinstance(one.teacher, Fake) and isinstance(two.teacher, Fake)
    one.teacher.took = {"usd": [0.1, 0.2, 0.3], "tokens_out": [1, 1, 1], "error": [None, None, "so"]}
    two.teacher.took = {"usd": [0.5, None, 0.5], "error": [None, None, "no"]}
    said = EnsembleTeacher([one, two, three], Combination.VOTES, TASK).ask(PROMPTS)
    assert said["usd"].to_list() == [pytest.approx(0.6), None, pytest.approx(0.8)]
    assert said["tokens_out"].to_list() == [1, 1, 1] and "seconds" not in said.columns
    assert said["error"].to_list() == [None, None, "so"], "of the member whose failure counts"


def test_rows_of_before_answers_said_what_they_took_are_read_with_those_of_after(tmp_path: Path) -> None:
    store, asked = SignalStore(tmp_path / "signal", Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")), members()[0].teacher
    assert isinstance(asked, Fake)
    store.capture(PROMPTS.head(1), asked)
    assert "usd" not in store.read(["q"], asked.fingerprint).columns
    asked.took = {"usd": [0.1, 0.2], "tokens_out": [1, 2], "seconds": [0.5, 0.5], "error": [None, "status 400"]}
    store.capture(PROMPTS, asked)
    said = store.read(["q", "p", "r"], asked.fingerprint)
    assert said.select("prompt_id", "usd", "error").rows() == [
        ("p", 0.1, None), ("q", None, None), ("r", 0.2, "status 400"),
    ]  # fmt: skip


@pytest.mark.long
def test_a_member_is_asked_once_whatever_is_made_of_it(tmp_path: Path) -> None:
    store, asked = SignalStore(tmp_path / "signal", Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")), members()
    for rule in (Combination.LOG_PROBABILITIES, Combination.VOTES):
        whole = EnsembleTeacher(asked, rule, TASK, store)
        store.capture(PROMPTS, whole)
        kept = store.read(["p", "q"], whole.fingerprint)
        assert kept.columns[-1] == "disagreement" and kept["disagreement"].to_list() == pytest.approx([1 / 3, 0.0])
    for each in asked:
        assert isinstance(each.teacher, Fake)
        assert sorted(each.teacher.asked) == ["p", "q", "r"]
        assert "disagreement" not in store.read(["p"], each.teacher.fingerprint).columns
