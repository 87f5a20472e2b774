"""What a gate is asked with, which gates a stage has, and when a suite is believed without looking again."""

from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
import time_machine

import checks.gate
import checks.prompts
from checks.gate import (
    NUMBERS,
    Finding,
    Gate,
    GateContext,
    StageGates,
    data_docs,
    gate,
    gate_code,
    gates_of_module,
    offenders,
    passed_if,
    share_at_most,
)
from checks.stages import CLOSES_AS, GATES, SHOWS_OPTIONS, UNWAIVABLE, gates_of, waiver_rules
from stillhouse.records.governance import WaiverRules
from stillhouse.records.ledger import Ledger
from stillhouse.source_code import closure_digest
from stillhouse.statistics.verdicts import Verdict
from tests.checks.hand_made import FAIL, PASS, answer_of, artifact, context, recipe
from tests.checks.prompts.test_numbers import SCORES


def look_and_pass(asked: GateContext) -> Finding:
    return passed_if(True, "fine")


BLOCKS = Gate("it_blocks", "of a reason", look_and_pass, waivable=False)
ADVISES = Gate(
    "it_advises", "of another", look_and_pass, blocking=False, closes_as="a result", remedy="stop", shows_options=True
)


class Suite:
    """Two gates that are decided together; counts how often."""

    because = {"first": "one", "second": "two"}  # noqa: RUF012

    def __init__(self) -> None:
        self.validated = 0

    def evaluate(self, asked: GateContext) -> dict[str, Finding]:
        self.validated += 1
        return {"first": passed_if(True, "looked", more=1), "second": passed_if(False, "looked")}


def test_an_evaluated_function_becomes_a_gate_of_its_name() -> None:
    made = gate("it matters", blocking=False, waivable=False, closes_as="x")(look_and_pass)
    assert made == Gate("look_and_pass", "it matters", look_and_pass, False, False, "x")
    ends = gate("it matters", daily=True, remedy="stop", shows_options=True)(look_and_pass)
    assert ends == Gate("look_and_pass", "it matters", look_and_pass, daily=True, remedy="stop", shows_options=True)
    assert gate("it matters")(look_and_pass) == Gate("look_and_pass", "it matters", look_and_pass)
    assert Gate("a", "b", look_and_pass) == Gate("a", "b", look_and_pass, blocking=True, waivable=True)
    assert [each.name for each in gates_of_module(__name__).gates] == ["it_blocks", "it_advises"]


def test_a_gate_about_classes_asks_nothing_of_numbers() -> None:
    about_classes, about_all = (gate("it matters", about_classes=each)(look_and_pass) for each in (True, False))
    assert (about_classes.name, about_classes.evaluate.__doc__) == ("look_and_pass", look_and_pass.__doc__)
    assert answer_of(about_classes, recipe=SCORES) == (PASS, NUMBERS)
    assert [answer_of(about_classes), answer_of(about_all, recipe=SCORES)] == 2 * [(PASS, "fine")]


def test_every_gate_of_the_prompt_set_is_in_its_list() -> None:
    """One that is in a module of the package and not in the list would never be asked."""
    folder = Path(checks.prompts.__file__).parent
    modules = [import_module(f"checks.prompts.{file.stem}") for file in folder.glob("[!_]*.py")]
    found = [gate for module in modules for gate in gates_of_module(module.__name__).gates]
    assert sorted(gate.name for gate in found) == sorted(gate.name for gate in GATES["prompts"].gates)


def test_names_and_reasons_are_those_of_gates_and_suite() -> None:
    alone, both = StageGates([BLOCKS, ADVISES]), StageGates([BLOCKS, ADVISES], Suite())
    assert (alone.names(blocking=True), alone.names(blocking=False)) == (["it_blocks"], ["it_advises"])
    assert (both.names(blocking=True), both.names(blocking=False)) == (["it_blocks", "first", "second"], ["it_advises"])
    assert alone.because() == {"it_blocks": "of a reason", "it_advises": "of another"}
    assert both.because() == {**alone.because(), "first": "one", "second": "two"}
    assert (both.unwaivable(), both.closes_as()) == ({"it_blocks"}, {"it_advises": "a result"})
    assert (both.remedies(), both.shows_options()) == ({"it_advises": "stop"}, {"it_advises"})


def test_what_the_failure_of_a_gate_is_called_where_it_is_a_result() -> None:
    assert {name: CLOSES_AS[name] for name in ("a_pain_is_declared", "no_baseline_clears_the_bar")} == {
        "a_pain_is_declared": "do not distil",
        "no_baseline_clears_the_bar": "take the baseline",
    }
    assert "training_converged" not in CLOSES_AS
    assert {"no_baseline_clears_the_bar"} == SHOWS_OPTIONS == {*gates_of("baselines").remedies()}


def test_every_candidate_has_the_gates_of_its_kind_and_a_recipe_can_forbid_more_waivers() -> None:
    assert gates_of("candidates/small") is GATES["candidates"]
    rules = waiver_rules(recipe(unwaivable=["a_pain_is_declared"], waiver_days_at_most=3))
    assert rules == WaiverRules(UNWAIVABLE | {"a_pain_is_declared"}, 3)
    assert "no_personal_data_is_left" in UNWAIVABLE and "a_pain_is_declared" not in UNWAIVABLE


def test_a_finding_passes_or_fails_and_keeps_its_evidence() -> None:
    assert passed_if(True, "s", a=1) == Finding(PASS, "s", {"a": 1})
    assert passed_if(False, "s", signed_by="Ada") == Finding(FAIL, "s", {}, "Ada")
    assert len(offenders(pl.DataFrame({"n": range(30)}))) == 20


def test_what_a_finding_says_is_cleaned_whoever_says_it() -> None:
    said = Finding(FAIL, "asked by ada@example.com and bob@example.com", {"who": "ada@example.com"}, "ada@example.com")
    assert said.sentence == "asked by ada@example.com and [EMAIL]", "who signed stays"
    assert said.evidence == {"who": "[EMAIL]"}


def test_a_table_is_read_once_and_the_base_batch_is_known() -> None:
    read: list[str] = []
    looked_at = artifact(batch="base")
    looked_at.frame = lambda name: read.append(name) or pl.DataFrame({"n": [1]})
    asked = context(looked_at)
    assert asked.frame("rows") is asked.frame("rows") and read == ["rows"]
    assert asked.is_base and context(artifact(batch=None)).is_base
    assert not context(artifact(batch="later")).is_base


def test_tables_of_all_batches_stand_one_below_the_other() -> None:
    one, two = pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [2], "b": [3]})
    asked = context(made_from={"prompts": [artifact(frames={"rows": each}) for each in (one, two)]})
    assert asked.frames_made_from("prompts", "rows").rows() == [(1, None), (2, 3)]
    with pytest.raises(ValueError, match="too many values"):
        asked.made_from("prompts")


def test_everything_that_a_finding_rests_on_is_in_its_circumstances(monkeypatch: pytest.MonkeyPatch) -> None:
    def digest(
        manifest: str = "m", read: str = "i", code: str = "c", packages: str = "p", on: str = "x86", **recipe_of: Any
    ) -> str:
        monkeypatch.setattr(checks.gate, "gate_code", lambda stage: f"{stage} {code}")
        monkeypatch.setattr(checks.gate, "lock_digest", lambda: packages)
        looked_at = artifact(digest=manifest, inputs={"small/source[base]": SimpleNamespace(digest=read)})
        return context(looked_at, recipe=recipe(**recipe_of), device=SimpleNamespace(machine=on)).circumstances

    assert digest() == digest()
    others = [digest("n"), digest(read="j"), digest(code="d"), digest(packages="q"), digest(bar__margin=0.05)]
    others.append(digest(on="x86, CUDA"))
    assert len({digest(), *others}) == 7


def test_the_code_of_a_gate_is_all_that_its_module_imports() -> None:
    assert gate_code("candidates/a") == gate_code("candidates/b") == closure_digest("checks.candidates")


@pytest.fixture
def asked(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GateContext:
    monkeypatch.setattr(checks.gate, "gate_code", lambda stage: f"code of {stage}")
    monkeypatch.setattr(checks.gate, "lock_digest", lambda: "packages")
    home = SimpleNamespace(reports=tmp_path)
    return context(artifact(inputs={}), ledger=ledger, home=home)


def test_where_the_page_of_a_suite_is(asked: GateContext, tmp_path: Path) -> None:
    assert data_docs(asked) == tmp_path / "data_docs" / f"small-prompts[base]-{'d' * 12}.html"


def test_only_what_is_wanted_is_decided(asked: GateContext) -> None:
    suite = Suite()
    gates = StageGates([BLOCKS, ADVISES], suite)
    assert [name for name, _ in gates.evaluate(asked, {"it_advises"})] == ["it_advises"] and suite.validated == 0
    found = dict(gates.evaluate(asked, {"it_blocks", "first"}))
    assert list(found) == ["it_blocks", "first"] and suite.validated == 1
    assert found["first"].evidence == {"more": 1, "data_docs": data_docs(asked)}
    assert list(dict(StageGates([BLOCKS]).evaluate(asked, {"it_blocks", "first"}))) == ["it_blocks"]


def test_a_suite_is_believed_if_all_of_it_passed_under_the_same_circumstances(
    asked: GateContext, ledger: Ledger
) -> None:
    suite = Suite()

    def said(gate: str, state: str = "passed", **changes: Any) -> None:
        body = {
            "asset": "small/prompts[base]", "digest": "d" * 64, "gate": gate, "state": state, "sentence": "before",
            "circumstances": asked.circumstances, "run_id": "r1",
        }  # fmt: skip
        ledger.append("verdict", "small", {**body, **changes})

    def look() -> Finding:
        return dict(StageGates([], suite).evaluate(asked, {"first", "second"}))["first"]

    said("first")
    assert look().sentence == "looked", "of the second nothing is known"
    said("second")
    believed = look()
    assert (believed.verdict, believed.sentence, believed.observed) == (PASS, "before", None), "0.1.0 kept no number"
    assert believed.evidence == {"found_in_run": "r1", "data_docs": data_docs(asked)}
    said("first", observed=0.0, limit=2.0)
    assert (look().observed, look().limit) == (0.0, 2.0), "else the trend would have holes where nothing has changed"
    for change in ({"state": "failed"}, {"circumstances": "others"}):
        said("second", **change)
        assert look().sentence == "looked"
        said("second")
        assert look().sentence == "before"


def test_of_a_daily_gate_a_pass_stands_until_the_day_ends_while_nothing_has_changed(
    asked: GateContext, ledger: Ledger
) -> None:
    looks: list[str] = []

    @gate("it costs much", daily=True)
    def it_is_asked_daily(context: GateContext) -> Finding:
        looks.append(context.artifact.digest)
        return passed_if(True, f"look {len(looks)}")

    def look(**changes: Any) -> str:
        (found,) = (found for _, found in StageGates([it_is_asked_daily]).evaluate(asked, {"it_is_asked_daily"}))
        body = {
            "asset": "small/prompts[base]", "digest": "d" * 64, "gate": "it_is_asked_daily", "state": "passed",
            "sentence": found.sentence, "circumstances": asked.circumstances, "run_id": "r1",
        }  # fmt: skip
        ledger.append("verdict", "small", {**body, **changes})
        return found.sentence

    with time_machine.travel(datetime(2026, 11, 27, 9, tzinfo=UTC)) as clock:
        assert [look(), look()] == ["look 1", "look 1"]
        clock.move_to(datetime(2026, 11, 27, 23, 59, tzinfo=UTC))
        assert look() == "look 1"
        clock.move_to(datetime(2026, 11, 28, 0, 1, tzinfo=UTC))
        assert [look(), look(state="failed")] == ["look 2", "look 2"], "what was found after midnight stands again"
        assert look(circumstances="others") == "look 3", "a failure is looked at again"
        assert look() == "look 4", "and so is what was found elsewhere"


@pytest.mark.parametrize(("hits", "limit"), [(29, 0.29), (57, 0.57), (58, 0.58)])
def test_a_share_that_is_just_its_limit_passes(hits: int, limit: float) -> None:
    """0.29 * 100 is a little less than 29."""
    assert share_at_most(hits, 100, limit, "").verdict is Verdict.PASS
    assert share_at_most(hits + 1, 100, limit, "").verdict is not Verdict.PASS
