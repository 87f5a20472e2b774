"""Whether a distillation may be begun: need, money, terms, licences, the frozen bar, and memory."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import checks.contract
import checks.pinning
from checks.contract import (
    a_moved_bar_has_a_name_and_a_reason,
    a_pain_is_declared,
    another_person_has_approved_the_training,
    licences_are_named,
    terms_allow_training_on_outputs,
    the_bar_is_frozen,
    the_student_pays_for_itself,
    the_teachers_weights_are_safe,
    the_weights_are_the_pinned_ones,
    the_weights_have_what_the_recipe_asks,
    training_fits_into_memory,
)
from stillhouse.device import Device
from stillhouse.digests import digest_of
from stillhouse.recipe.contract import Recipe
from stillhouse.records.governance import amend, sign_off
from stillhouse.records.ledger import Ledger
from stillhouse.stages.contract import bar_of
from stillhouse.stages.facts import ContractFacts, WeightsFacts
from stillhouse.stages.names import CONTRACT, SOURCE
from stillhouse.statistics.verdicts import Verdict
from stillhouse.teachers.pinning import Pin
from tests.checks.hand_made import (
    DEMO,
    FAIL,
    INCONCLUSIVE,
    PASS,
    answer_of,
    artifact,
    ask,
    ensemble_recipe,
    language_model_recipe,
    recipe,
    stored_recipe,
)
from tests.faults.bench import Fault
from tests.faults.contract_and_source import (
    A_WEEK_FOR_A_THOUSAND_CALLS,
    HIGH_STAKES,
    UNKNOWN_WITHOUT_WEIGHTS,
    cut_teacher,
    edited_after_freezing,
    moved_bar,
    pickle_as_teacher,
    signed_off_by_its_author,
)
from tests.faults.plants import NOBODY, changed, with_exchanged_weights

ECONOMICS = {
    "calls_per_month": 1e6, "teacher_usd_per_1000_calls": 1.0, "engineering_hours": 10.0,
    "engineering_usd_per_hour": 100.0,
}  # fmt: skip


def frozen(
    bar: Any = None,
    language_model: WeightsFacts | None = None,
    members: Mapping[str, WeightsFacts] | None = None,
    **weights: Any,
) -> Any:
    bar, found = bar_of(DEMO) if bar is None else bar, taken_in(**weights)
    facts = ContractFacts(
        recipe=DEMO.digest,
        bar=bar,
        bar_digest=digest_of(bar),
        weights=found,
        language_model=language_model,
        members=dict(members or {}),
    )
    return artifact(facts, stage="contract", batch=None)


def taken_in(**weights: Any) -> WeightsFacts:
    return WeightsFacts(**{"fingerprint": "f" * 64, "training_gb": 1.0, "problem": None, **weights})


def test_without_a_pain_there_is_nothing_to_distil_for() -> None:
    assert answer_of(a_pain_is_declared, recipe=recipe(pain=["latency", "stability"])) == (PASS, "latency, stability")
    nothing = "no pain is declared: keep the teacher, do not distil. If something hurts, say in `pain` whether it is"
    verdict, sentence = answer_of(a_pain_is_declared, recipe=recipe(pain=[]))
    assert verdict is FAIL and sentence.startswith(nothing)


def test_a_student_has_to_pay_for_itself_where_prices_are_named() -> None:
    gate = the_student_pays_for_itself
    assert answer_of(gate) == (PASS, "`pain` does not name cost, and the recipe names no prices")
    verdict, sentence = answer_of(gate, recipe=recipe(economics=ECONOMICS))
    assert verdict is PASS and sentence.startswith("fund: 1,000 USD to make")
    assert answer_of(gate, recipe=recipe(economics={**ECONOMICS, "engineering_hours": 1e4}))[0] is FAIL


@pytest.mark.parametrize(("said", "verdict"), [("allowed", PASS), ("forbidden", FAIL), ("unknown", FAIL)])
def test_only_terms_that_allow_it_allow_it(said: str, verdict: object) -> None:
    found = answer_of(terms_allow_training_on_outputs, recipe=recipe(teacher__training_on_outputs=said))
    assert found[0] is verdict and f"{DEMO.teacher.source} is {said}" in found[1]
    assert ("say in `teacher.training_on_outputs`" in found[1]) is (said == "unknown")


def test_the_member_whose_terms_do_not_allow_it_is_named_where_they_are_said() -> None:
    assert answer_of(terms_allow_training_on_outputs, recipe=ensemble_recipe())[0] is PASS
    found = answer_of(terms_allow_training_on_outputs, recipe=ensemble_recipe(training_on_outputs="unknown"))
    assert found == (
        FAIL,
        "the recipe says that training on the outputs of encoder is unknown. Read its licence and terms, then say in "
        "`teacher.ensemble.members.two.training_on_outputs` what they allow",
    )


@pytest.mark.parametrize("licence", ["", " Unknown ", "none", "TBD", "?", "TODO", "<todo>", "n/a", "N/A.", "--"])
def test_a_licence_that_is_none_is_not_named(licence: str) -> None:
    assert answer_of(licences_are_named) == (PASS, "teacher and data have one")
    unnamed = answer_of(licences_are_named, recipe=stored_recipe(base__licence=licence))
    assert unnamed == (FAIL, "unnamed: base. Say in `base.licence` under which right it may be used")
    assert answer_of(licences_are_named, recipe=recipe(teacher__licence=licence)) == (
        FAIL,
        "unnamed: teacher. Say in `teacher.licence` under which right it may be used",
    )
    both = recipe(teacher__licence=licence, data__licence=licence)
    assert answer_of(licences_are_named, recipe=both)[1].startswith(
        "unnamed: teacher, data. Say in `teacher.licence` and `data.licence`"
    )


def test_the_frozen_bar_is_that_of_the_recipe() -> None:
    assert answer_of(the_bar_is_frozen, frozen()) == (PASS, "the frozen bar is that of the recipe")
    verdict, sentence = answer_of(the_bar_is_frozen, frozen(), recipe=recipe(bar__margin=0.05))
    assert verdict is FAIL and sentence.endswith("bar.margin was 0.04 and is 0.05; materialize contract again")


def test_the_weights_have_to_be_safe() -> None:
    assert answer_of(the_teachers_weights_are_safe, frozen()) == (PASS, "safetensors only, whole and finite")
    assert answer_of(the_teachers_weights_are_safe, frozen(problem="a pickle")) == (FAIL, "a pickle")
    of_the_teacher = frozen(language_model=taken_in(problem="another pickle"))
    assert answer_of(the_teachers_weights_are_safe, of_the_teacher) == (FAIL, "another pickle")
    of_a_member = frozen(members={"one": taken_in(), "two": taken_in(problem="a third pickle")})
    assert answer_of(the_teachers_weights_are_safe, of_a_member) == (FAIL, "a third pickle")


def test_training_has_to_fit_into_what_the_recipe_or_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stillhouse.models.memory.machine_memory_gb", lambda: 2.0)
    gate = training_fits_into_memory
    assert answer_of(gate, frozen(training_gb=2.0)) == (PASS, "about 2.0 GB needed, 2.0 GB allowed")
    assert answer_of(gate, frozen(training_gb=2.1)) == (FAIL, "about 2.1 GB needed, 2.0 GB allowed")
    allowed = recipe(budget__training_memory_gb_at_most=3.0)
    assert answer_of(gate, frozen(training_gb=2.1), recipe=allowed) == (PASS, "about 2.1 GB needed, 3.0 GB allowed")
    refused = "the weights were refused, so there is nothing to estimate from"
    assert answer_of(gate, frozen(training_gb=None)) == (INCONCLUSIVE, refused)
    large, none = (frozen(language_model=taken_in(training_gb=gb)) for gb in (2.1, None))
    assert answer_of(gate, large) == (FAIL, "about 2.1 GB needed, 2.0 GB allowed")
    assert answer_of(gate, none) == (INCONCLUSIVE, refused)
    large_member = frozen(members={"one": taken_in(training_gb=2.1), "two": taken_in()})
    assert answer_of(gate, large_member) == (FAIL, "about 2.1 GB needed, 2.0 GB allowed")


def test_on_a_gpu_training_has_to_fit_into_what_is_free_of_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card of 8 GB, of which another program has 3 and this one 1; the machine's own memory is beside the point."""
    monkeypatch.setattr("stillhouse.models.memory.machine_memory_gb", lambda: 2.0)
    looked_at: list[str] = []

    def free(device: str) -> tuple[int, int]:
        looked_at.append(device)
        return 4_000_000_000, 8_000_000_000

    cuda = SimpleNamespace(mem_get_info=free, memory_reserved=lambda device: 1_000_000_000)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    gate, card = training_fits_into_memory, Device("cuda:1")
    fits, too_large = frozen(training_gb=5.0), frozen(training_gb=5.1)
    assert answer_of(gate, fits, device=card) == (PASS, "about 5.0 GB needed, 5.0 GB free on cuda:1")
    assert answer_of(gate, too_large, device=card) == (FAIL, "about 5.1 GB needed, 5.0 GB free on cuda:1")
    assert set(looked_at) == {"cuda:1"}
    allowed = recipe(budget__training_memory_gb_at_most=6.0)
    assert answer_of(gate, too_large, recipe=allowed, device=card) == (PASS, "about 5.1 GB needed, 6.0 GB allowed")
    assert answer_of(gate, fits, device=Device("mps")) == (FAIL, "about 5.0 GB needed, 2.0 GB allowed")


class Rounds:
    """Contracts and candidates in the order in which they were made."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
        self.manifests: dict[str, Any] = {}
        self.store = SimpleNamespace(read_manifest=lambda digest, manifest: self.manifests[digest])

    def contract(self, bar: Any, recipe: str = "small") -> None:
        self.made("contract", recipe, {"bar": bar, "bar_digest": digest_of(bar)})

    def candidate(self, student: str = "five_layers") -> None:
        self.made(f"candidates/{student}", "small", {})

    def made(self, stage: str, recipe: str, facts: Any) -> None:
        digest = f"{len(self.manifests):064x}"
        self.manifests[digest] = SimpleNamespace(facts=facts)
        self.ledger.append("materialization", recipe, {"asset": f"{recipe}/{stage}", "digest": digest, "manifest": "m"})


@pytest.fixture
def rounds(tmp_path: Path) -> Rounds:
    return Rounds(tmp_path)


def look(rounds: Rounds, bar: Any = None) -> tuple[Any, str, str]:
    finding = ask(a_moved_bar_has_a_name_and_a_reason, frozen(bar), ledger=rounds.ledger, store=rounds.store)
    return finding.verdict, finding.sentence, finding.signed_by


def test_a_bar_may_be_moved_before_a_candidate_was_trained_under_it(rounds: Rounds) -> None:
    untouched = (PASS, "no candidate was trained under another bar", "")
    assert look(rounds) == untouched, "nothing was made yet"
    other = bar_of(recipe(bar__margin=0.2))
    rounds.contract(other)
    assert look(rounds) == untouched
    rounds.contract(bar_of(DEMO))
    rounds.candidate()
    assert look(rounds) == untouched
    rounds.contract(other)
    assert look(rounds) == untouched, "the bar that is looked at is the one that the candidate was trained under"


def test_of_all_that_was_made_one_contract_is_opened(rounds: Rounds, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the student was called: one that the recipe has no longer was trained under a bar all the same."""
    opened: list[str] = []
    rounds.store.read_manifest = lambda digest, manifest: opened.append(digest) or rounds.manifests[digest]
    monkeypatch.setattr(Ledger, "entries", lambda self, *asked, **narrowed: pytest.fail("the whole ledger was read"))
    other = bar_of(recipe(bar__margin=0.2))
    for bar in (bar_of(DEMO), other, bar_of(DEMO)):
        rounds.contract(bar)
        rounds.candidate("gone")
        rounds.made("source", "small", {})
    rounds.contract(other)
    assert look(rounds)[0] is PASS
    assert opened == [f"{6:064x}"], "the contract of the newest candidate"


def test_a_bar_that_was_moved_after_a_candidate_needs_a_name_and_a_reason(rounds: Rounds) -> None:
    other = bar_of(recipe(bar__margin=0.2))
    rounds.contract(other)
    rounds.candidate()
    rounds.contract(bar_of(DEMO))
    verdict, sentence, _ = look(rounds)
    assert verdict is FAIL
    digests = digest_of(other)[:12], digest_of(bar_of(DEMO))[:12]
    said = "a candidate was trained under bar {} and the recipe now has {}: bar.margin was 0.2 and is 0.04; put"
    assert said.format(*digests) in sentence
    assert "`stillhouse amend small --by NAME --reason WHY`" in sentence
    amend(rounds.ledger, "small", bar=digest_of(bar_of(DEMO)), by="Ada", reason="the old one was a guess")
    assert look(rounds) == (PASS, "changed by Ada: the old one was a guess", "Ada")


def test_exchanged_weights_of_the_encoder_or_of_the_language_model_close(monkeypatch: pytest.MonkeyPatch) -> None:
    pins = {"base": Pin("f" * 64), "teacher": Pin("a" * 64)}
    monkeypatch.setattr(checks.pinning, "pin_of", lambda *about: pins[about[-1]])
    for taken, verdict in (("a" * 64, PASS), ("b" * 64, FAIL)):
        contract = frozen(language_model=taken_in(fingerprint=taken))
        assert answer_of(the_weights_are_the_pinned_ones, contract, recipe=language_model_recipe())[0] is verdict
    contract = frozen(language_model=taken_in(fingerprint="a" * 64), fingerprint="e" * 64)
    assert answer_of(the_weights_are_the_pinned_ones, contract, recipe=language_model_recipe())[0] is FAIL


def test_exchanged_weights_of_a_member_close_before_it_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.pinning, "pin_of", lambda *about: Pin("f" * 64))
    asked, gate = ensemble_recipe(), the_weights_are_the_pinned_ones
    assert answer_of(gate, frozen(members={"one": taken_in(), "two": taken_in()}), recipe=asked)[0] is PASS
    exchanged = frozen(members={"one": taken_in(), "two": taken_in(fingerprint="e" * 64)})
    verdict, sentence = answer_of(gate, exchanged, recipe=asked)
    assert verdict is FAIL and "in the recipe's teacher.ensemble.members.two" in sentence


SIZES = {
    "model_type": "modernbert", "num_hidden_layers": 4, "hidden_size": 8, "num_attention_heads": 2,
    "intermediate_size": 16, "max_position_embeddings": 64,
}  # fmt: skip
ONE_LAYER = {"name": "one", "layers": [0], "training": {"loss": "kl"}}


@pytest.mark.parametrize(
    ("student", "says"),
    [
        ({}, None),
        ({"layers": [1, 2]}, "students.0.layers: one cannot have the layers [1, 2]; expected distinct, rising numbers"),
        ({"layers": [0, 4]}, "from 0 to 3"),
        ({"feed_forward": 15}, None),
        ({"feed_forward": 16}, "students.0.feed_forward: one cannot keep 16 units of each block; expected fewer than"),
        ({"layers": [], "dimensions": 8}, None),
        ({"layers": []}, None),
        (
            {"layers": [], "dimensions": 9},
            "students.0.dimensions: one cannot have vectors of 9 dimensions; expected at",
        ),
        ({"training": {"loss": "kl", "max_tokens": 64}}, None),
        ({"training": {"loss": "kl", "max_tokens": 65}}, "students.0.training.max_tokens: texts of 65 tokens; "),
    ],
)
def test_what_is_asked_of_weights_has_to_be_there_before_anything_is_spent(
    tmp_path: Path, student: dict[str, Any], says: str | None
) -> None:
    """Regression: a run found layers that are not there after the teacher was trained and asked."""
    found = sizes_found({"base": SIZES}, tmp_path, stored_recipe(students=[{**ONE_LAYER, **student}]))
    assert found == (PASS, ALL_THERE) if says is None else found[0] is FAIL and says in found[1]


def test_what_is_asked_of_a_language_model_or_a_member_has_to_be_there(tmp_path: Path) -> None:
    model = {"model_type": "llama", "max_position_embeddings": 511}
    asked = language_model_recipe()
    assert sizes_found({"base": SIZES, "teacher": model}, tmp_path, asked) == (PASS, ALL_THERE)
    longer = asked.model_copy(update={"teacher": asked.teacher.model_copy(update={"max_tokens": 512})})
    verdict, sentence = sizes_found({"base": SIZES, "teacher": model}, tmp_path, longer)
    assert verdict is FAIL and sentence.startswith("teacher.max_tokens: texts of 512 tokens; expected at most the")
    slides = model | {"max_position_embeddings": 4096, "sliding_window": 500}
    verdict, sentence = sizes_found({"base": SIZES, "teacher": slides}, tmp_path, longer)
    assert verdict is FAIL and "expected at most the teacher's 500" in sentence
    switched_off = slides | {"use_sliding_window": False}
    assert sizes_found({"base": SIZES, "teacher": switched_off}, tmp_path, longer) == (PASS, ALL_THERE)
    member = ensemble_recipe(training={"loss": "labels", "max_tokens": 65})
    verdict, sentence = sizes_found(dict.fromkeys(member.all_weights, SIZES), tmp_path, member)
    assert verdict is FAIL and sentence.startswith("teacher.ensemble.members.two.training.max_tokens: texts of 65")


def test_of_weights_that_were_refused_nobody_knows_how_large_they_are(tmp_path: Path) -> None:
    refused = sizes_found({"base": SIZES}, tmp_path, language_model_recipe())
    assert refused == (INCONCLUSIVE, "the weights of teacher were refused, so it is not known how large they are")


ALL_THERE = "layers, units and positions that the recipe asks for are there"


def sizes_found(configs: Mapping[str, Any], folder: Path, asked: Recipe) -> tuple[Verdict, str]:
    """What the gate says where the contract took in these config.json, by the part of the recipe."""
    addresses = {part: f"{asked.all_weights[part].address}/config.json" for part in configs}
    for part, config in configs.items():
        (folder / part).write_text(json.dumps(config))
    contract = artifact(stage="contract", batch=None, external_inputs={name: part for part, name in addresses.items()})
    store = SimpleNamespace(kept=lambda part: folder / part)
    return answer_of(the_weights_have_what_the_recipe_asks, contract, recipe=asked, store=store)


def test_where_stakes_are_high_another_person_than_the_author_signs_off_this_very_contract(ledger: Ledger) -> None:
    gate, digest = another_person_has_approved_the_training, artifact().digest
    assert answer_of(gate, artifact(), ledger=ledger) == (PASS, "the stakes are low: no sign-off is asked for")
    high = recipe(stakes="high", author="Ada")
    verdict, sentence = answer_of(gate, artifact(), recipe=high, ledger=ledger)
    assert verdict is INCONCLUSIVE
    how = "read it, then `stillhouse approve small --training --by NAME --reason WHY` and look again"
    assert sentence == f"nobody has signed off contract {digest[:12]} yet: {how}"
    sign_off(ledger, "small", contract="c" * 64, author="Ada", by="Bob", reason="I have read it")
    verdict, sentence = answer_of(gate, artifact(), recipe=high, ledger=ledger)
    assert verdict is INCONCLUSIVE, "what was signed off was another contract"
    assert f"yet (only {'c' * 12}, before the recipe was changed): read it" in sentence
    sign_off(ledger, "small", contract=digest, author="Ada", by="Bob", reason="I have read it again")
    found = ask(gate, artifact(), recipe=high, ledger=ledger)
    assert (found.verdict, found.sentence) == (PASS, "signed off by Bob: I have read it again")
    assert found.signed_by == "Bob"
    own = answer_of(gate, artifact(), recipe=recipe(stakes="high", author="Bob"), ledger=ledger)
    assert own == (FAIL, "signed off by Bob, its author: I have read it again")


FAULTS = [
    Fault(
        "nobody has signed off the training, and the stakes are high", CONTRACT,
        "another_person_has_approved_the_training", changed(**HIGH_STAKES), "nobody has signed off contract",
        state="inconclusive", refuses=SOURCE,
    ),
    Fault(
        "its author has signed off the training", CONTRACT, "another_person_has_approved_the_training",
        signed_off_by_its_author, "its author",
    ),
    Fault("no pain is declared", CONTRACT, "a_pain_is_declared", changed(pain=[]), "do not distil", refuses=SOURCE),
    Fault(
        "a thousand calls a month are to pay for a week of work", CONTRACT, "the_student_pays_for_itself",
        changed(pain=["cost"], economics=A_WEEK_FOR_A_THOUSAND_CALLS), "do not fund", refuses=SOURCE,
    ),
    Fault(
        "the teacher's terms are unknown", CONTRACT, "terms_allow_training_on_outputs",
        changed(teacher__training_on_outputs="unknown"), "is unknown",
    ),
    Fault(
        "the teacher's terms forbid it", CONTRACT, "terms_allow_training_on_outputs",
        changed(teacher__training_on_outputs="forbidden"), "is forbidden",
    ),
    Fault("the rows' licence is not named", CONTRACT, "licences_are_named", changed(data__licence="TBD"), "data"),
    Fault(
        "the bar was changed in the recipe after it was frozen", CONTRACT, "the_bar_is_frozen",
        edited_after_freezing, "was changed since", look_only=True,
    ),
    Fault(
        "training does not fit into memory", CONTRACT, "training_fits_into_memory",
        changed(budget__training_memory_gb_at_most=0.01), "0.0 GB allowed",
    ),
    Fault(
        "a pickle lies beside the teacher's weights", CONTRACT, "the_teachers_weights_are_safe",
        pickle_as_teacher, "can run code when it is loaded (pickle)", also=UNKNOWN_WITHOUT_WEIGHTS, refuses=SOURCE,
    ),
    Fault(
        "the teacher's weights are cut", CONTRACT, "the_teachers_weights_are_safe", cut_teacher, "truncated or corrupt",
        also=UNKNOWN_WITHOUT_WEIGHTS,
    ),
    Fault(
        "a student keeps a layer that the teacher does not have", CONTRACT, "the_weights_have_what_the_recipe_asks",
        changed(students=[{"name": "one", "layers": [0, 7], "training": {"epochs": 1}}]),
        "students.0.layers: one cannot have the layers [0, 7]; expected distinct, rising numbers from 0 to 1",
        refuses=SOURCE,
    ),
    Fault(
        "the recipe pins other weights", CONTRACT, "the_weights_are_the_pinned_ones",
        changed(teacher__fingerprint=NOBODY), "the recipe pins weights 000000000000, but", refuses=SOURCE,
    ),
    Fault(
        "the bar was moved after a student was trained", CONTRACT, "a_moved_bar_has_a_name_and_a_reason",
        moved_bar, "put the old one back", refuses=SOURCE, later=True,
    ),
    Fault(
        "the teacher's weights were exchanged since the first round", CONTRACT, "the_weights_are_the_pinned_ones",
        with_exchanged_weights, "trusted since their first use on", refuses=SOURCE, later=True,
    ),
]  # fmt: skip
