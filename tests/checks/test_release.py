"""Whether a bundle is whole, names its parents and its waivers, answers, and may serve."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

import checks.release
import stillhouse.models.predictor
from checks.release import (
    another_person_has_approved_it,
    the_bundle_is_whole,
    the_bundle_loads_and_predicts,
    the_champion_is_not_held,
    the_release_lists_its_waivers,
    the_release_names_its_inputs,
    the_release_was_not_withdrawn,
)
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.governance import approve
from stillhouse.records.ledger import Ledger
from stillhouse.records.promotion import hold, resume
from stillhouse.release.bundle import ReleaseRecord, WaivedGate
from stillhouse.stages.names import CHAMPION, RELEASE
from stillhouse.tasks.single_label import SingleLabel
from tests.checks.hand_made import FAIL, INCONCLUSIVE, PASS, answer_of, artifact, ask, recipe
from tests.faults.bench import NAME, Fault
from tests.faults.plants import altered, leaves_a_pickle, patched
from tests.faults.release import (
    approved_by_its_author,
    bundle_with,
    held,
    of_other_parents,
    renames_the_labels,
    rewrites_the_report,
    signed_off_for_training,
    waived_and_not_listed,
    withdrawn,
)
from tests.promotions import back, seen, serve

PARENTS = ("contract", "prompts[base]", "teacher", "transfer_set", "selection", "exports/s")


def released(*waived: str, digest: str = "d" * 64, export: str = "exports/s", **manifest: Any) -> Any:
    record = ReleaseRecord(
        recipe="small", student="s", base_source="b", base_revision="r", base_fingerprint="f", licence="l",
        precision="int8", export=export, teacher="teacher", teacher_fingerprint="f", contract="contract",
        prompts="prompts[base]", golden="g", transfer_set="transfer_set", selection="selection", row_kinds={},
        waived=tuple(WaivedGate(gate=gate, by="a", reason="b", until="c") for gate in waived),
    )  # fmt: skip
    return artifact(record, stage="release", batch=None, digest=digest, folder=Path("/bundle"), **manifest)


def test_a_bundle_with_a_problem_is_not_released(monkeypatch: pytest.MonkeyPatch) -> None:
    problems: list[str] = []
    monkeypatch.setattr(checks.release, "bundle_problems", lambda folder: problems)
    assert answer_of(the_bundle_is_whole, released()) == (PASS, "every file is there and as listed")
    problems += ["a is missing", "b was altered"]
    assert answer_of(the_bundle_is_whole, released()) == (FAIL, "a is missing; b was altered")


def test_the_digests_in_the_record_are_those_of_the_inputs() -> None:
    gate = the_release_names_its_inputs
    inputs = {f"small/{name}": SimpleNamespace(digest=name) for name in PARENTS}
    assert answer_of(gate, released(inputs=inputs)) == (PASS, "6 digests agree")
    inputs["small/teacher"] = SimpleNamespace(digest="another")
    del inputs["small/exports/s"]
    assert answer_of(gate, released(inputs=inputs)) == (FAIL, "not its inputs: exports/s, teacher")


def test_the_bundle_gives_an_answer_that_the_teacher_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    class Server:
        labels = ("a", "b")

        def __init__(self, folder: Path) -> None:
            assert folder == Path("/bundle/model")

        def logits(self, texts: list[str]) -> np.ndarray:
            assert texts == ["who ?"]
            return np.array([[0.0, 1.0]])

    monkeypatch.setattr(stillhouse.models.predictor, "OnnxClassifier", Server)
    prompts = artifact(frames={"prompts": pl.DataFrame({"text": ["who ?", "what ?"]})})
    answered = {
        ("a", "b"): (PASS, "'who ?' is answered 'b'"),
        ("a", "c"): (FAIL, "it answers a, b, and the teacher a, c"),
    }
    for labels, expected in answered.items():
        made_from = {"prompts": prompts, "teacher": artifact(SimpleNamespace(labels=labels, task=SingleLabel(labels)))}
        found = answer_of(the_bundle_loads_and_predicts, released(), made_from=made_from)
        assert found == expected


def test_what_a_person_took_out_stays_out_until_a_person_brings_it_back(ledger: Ledger) -> None:
    def look(digest: str, export: str) -> Any:
        return ask(the_release_was_not_withdrawn, released(digest=digest * 64, export=export), ledger=ledger)

    for letter in "aba":
        serve(ledger, letter * 64, recipe="small", student=f"student_{letter}")
    assert (look("a", "a").verdict, look("a", "a").sentence) == (PASS, "it was not withdrawn")
    back(ledger, "b" * 64, recipe="small", student="student_b", by="Ada", reason="wrong on bills")
    found = look("a", "a")
    assert (found.verdict, found.signed_by) == (FAIL, "Ada")
    day = ledger.entries("small", "withdrawal")[0].at[:10]
    assert found.sentence == (
        f"{'a' * 12} was withdrawn on {day} by Ada: wrong on bills; champion student_b {'b' * 12} serves since then. "
        f"`stillhouse promote small {'a' * 12} --by NAME --reason WHY` would bring it back"
    )
    same_model = look("c", "a")
    assert same_model.verdict is FAIL
    assert same_model.sentence.startswith(f"{'c' * 12} was withdrawn, as {'a' * 12} on {day} by Ada")
    assert look("c", "c").verdict is PASS
    back(ledger, "a" * 64, recipe="small", by="Bob", reason="it was the bills")
    assert look("a", "a").verdict is PASS


def test_while_a_person_holds_the_champion_no_other_release_passes(ledger: Ledger) -> None:
    def look(digest: str) -> Any:
        return ask(the_champion_is_not_held, released(digest=digest * 64), ledger=ledger)

    assert (look("a").verdict, look("a").sentence) == (PASS, "nobody holds the champion")
    serve(ledger, "a" * 64, recipe="small")
    assert look("b").verdict is PASS
    hold(ledger, "small", by="Ada", reason="month-end close")
    day, found = seen(ledger, "small").at[:10], look("b")
    assert (found.verdict, found.signed_by) == (FAIL, "Ada")
    assert found.sentence.startswith(
        f"Ada holds champion one {'a' * 12} since {day}: month-end close. `stillhouse resume"
    )
    assert look("a").verdict is PASS, "what serves already changes nothing"
    resume(ledger, "small", by="Bob", reason="the month is closed")
    assert look("b").verdict is PASS


def test_where_stakes_are_high_another_person_than_the_author_approves(ledger: Ledger) -> None:
    gate = another_person_has_approved_it
    assert answer_of(gate, released(), ledger=ledger) == (PASS, "the stakes are low: no approval is asked for")
    high = recipe(stakes="high", author="Ada")
    verdict, sentence = answer_of(gate, released(), recipe=high, ledger=ledger)
    assert verdict is INCONCLUSIVE
    assert sentence.startswith(f"nobody has approved {'d' * 12} yet: read the report")
    approve(ledger, "small", release="d" * 64, author="Ada", by="Bob", reason="I have read the report")
    found = ask(gate, released(), recipe=high, ledger=ledger)
    assert (found.verdict, found.sentence, found.signed_by) == (PASS, "approved by Bob: I have read the report", "Bob")
    own = answer_of(gate, released(), recipe=recipe(stakes="high", author="Bob"), ledger=ledger)
    assert own == (FAIL, "approved by Bob, its author: I have read the report")


def test_each_waiver_that_was_relied_on_is_listed() -> None:
    gate = the_release_lists_its_waivers
    relied = [
        SimpleNamespace(asset="small/prompts[base]", gate="one", state=GateStatus.WAIVED),
        SimpleNamespace(asset="small/teacher", gate="two", state=GateStatus.WAIVED),
        SimpleNamespace(asset="small/teacher", gate="three", state=GateStatus.PASSED),
    ]
    both = ("small/prompts[base]:one", "small/teacher:two")
    assert answer_of(gate, released(*both, relied_on=relied)) == (PASS, "2 waivers, all listed")
    assert answer_of(gate, released(both[1], relied_on=relied)) == (FAIL, "not listed: small/prompts[base]:one")


FAULTS = [
    Fault(
        "the report in the bundle was rewritten", RELEASE, "the_bundle_is_whole", bundle_with(rewrites_the_report),
        "report.json was altered", refuses=CHAMPION,
    ),
    Fault(
        "a file was added to the bundle", RELEASE, "the_bundle_is_whole", bundle_with(leaves_a_pickle),
        "optimizer.pt is not part of the release",
    ),
    Fault(
        "the bundle names another teacher", RELEASE, "the_release_names_its_inputs",
        patched("stillhouse.stages.release:ReleaseRecord", of_other_parents), "not its inputs: teacher",
    ),
    Fault(
        "the model answers in labels of its own", RELEASE, "the_bundle_loads_and_predicts",
        patched("stillhouse.stages.release:write_bundle", renames_the_labels), "it answers class 0, class 1",
    ),
    Fault(
        "nobody has approved it, and the stakes are high", RELEASE, "another_person_has_approved_it",
        signed_off_for_training, "nobody has approved", state="inconclusive",
        refuses=CHAMPION,
    ),
    Fault(
        "its author has approved it", RELEASE, "another_person_has_approved_it", approved_by_its_author, "its author",
    ),
    Fault(
        "a waiver is not listed in the bundle", RELEASE, "the_release_lists_its_waivers", waived_and_not_listed,
        f"not listed: {NAME}/selection:a_student_clears_the_bar",
    ),
    Fault(
        "a withdrawn release is found again", RELEASE, "the_release_was_not_withdrawn", withdrawn,
        "by Ada: It is rude to callers.", refuses=CHAMPION,
    ),
    Fault(
        "a person holds the champion", RELEASE, "the_champion_is_not_held", held,
        "Ada holds champion one 000000000000 since", refuses=CHAMPION,
    ),
    Fault(
        "a bit of the model that serves has flipped", RELEASE, None,
        altered(RELEASE, "model/model.onnx"), "the content was altered", look_only=True,
    ),
]  # fmt: skip
