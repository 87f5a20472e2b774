"""A kill rule is read as it is meant or refused at its line, and what decides nothing is named."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.errors import StillhouseError
from stillhouse.recipe.bar import (
    BarSpec,
    BehaviourCase,
    BehaviourSpec,
    BudgetSpec,
    SensitiveSpec,
    SliceSpec,
    StressSpec,
    Terms,
)
from stillhouse.recipe.plays import KillFact, KillRule, parse_rule, undecided
from tests.small import small_recipe

PLAY = {
    "name": "drift",
    "on": ["inputs", "agreement"],
    "owner": "team:question-routing",
    "do": "label two hundred rows of the slice",
    "cadence": "weekly",
}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("rounds_without_promotion >= 3", KillRule(KillFact.ROUNDS_WITHOUT_PROMOTION, ">=", 3.0, None)),
        ("  usd>20.5 in 7 days ", KillRule(KillFact.USD, ">", 20.5, 7)),
        ("usd > 20", KillRule(KillFact.USD, ">", 20.0, 30)),
        ("broken_rounds < 1 in 1 day", KillRule(KillFact.BROKEN_ROUNDS, "<", 1.0, 1)),
        ("fallback_share > 0.4 for 14 days", KillRule(KillFact.FALLBACK_SHARE, ">", 0.4, 14, each_day=True)),
        ("saving_usd < -50.5", KillRule(KillFact.SAVING_USD, "<", -50.5, 30)),
    ],
)
def test_a_rule_is_read(text: str, rule: KillRule) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("rounds_without_promotion => 3", "a kill rule is a fact"),
        ("rounds_without_promotion >= three", "a kill rule is a fact"),
        ("rounds_without_promotion >= 3 and usd > 1", "a kill rule is a fact"),
        ("", "a kill rule is a fact"),
        ("sales > 3", "there is no fact sales, only rounds_without_promotion, "),
        ("rounds_without_promotion >= 3 in 7 days", "is not counted over days"),
        ("usd > 3 in 0 days", "nothing can be counted"),
        ("fallback_share > 0.4 for 0 days", "nothing can be counted"),
        ("usd > 3 for 7 days", "is not counted day by day: write `in 7 days`"),
        ("fallback_share > 0.4 for a month", "a kill rule is a fact"),
    ],
)
def test_what_is_no_rule_is_refused_and_says_what_is(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_rule(text)


@pytest.mark.long
@given(
    st.sampled_from(KillFact), st.sampled_from([">=", ">", "<=", "<"]), st.floats(-(10**9), 10**9),
    st.integers(1, 400), st.booleans(),
)  # fmt: skip
def test_a_rule_that_is_written_is_read_the_same(
    fact: KillFact, compared: str, limit: float, days: int, each_day: bool
) -> None:
    over = days if fact.is_counted_over_days else None
    rule = KillRule(fact, compared, limit, over, each_day=each_day and fact.is_of_traffic)
    assert parse_rule(str(rule)) == rule


def test_a_mistake_in_a_rule_names_file_line_and_field(tmp_path: Path) -> None:
    with pytest.raises(StillhouseError) as refused:
        small_recipe(tmp_path, rows=50, plays=[{**PLAY, "kill": "sales > 3"}])
    assert "plays.0.kill" in str(refused.value) and "there is no fact sales" in str(refused.value)
    line = next(
        number
        for number, text in enumerate((tmp_path / "recipes/small/defs.yaml").read_text().splitlines(), 1)
        if "sales > 3" in text
    )
    assert f"defs.yaml:{line}" in str(refused.value)


@pytest.mark.parametrize(
    ("kill", "given", "why"),
    [
        ("fallback_share > 0.4 for 14 days", {}, "add traffic"),
        ("saving_usd < 0", {"traffic": {}}, "add economics"),
    ],
)
def test_a_rule_that_nothing_could_measure_is_refused_at_its_line(
    tmp_path: Path, kill: str, given: dict[str, object], why: str
) -> None:
    with pytest.raises(StillhouseError, match=why) as refused:
        small_recipe(tmp_path, rows=50, plays=[{**PLAY, "kill": kill}], **given)
    assert "plays.0.kill" in str(refused.value)


def test_plays_and_risks_are_no_part_of_the_contract_and_have_names_of_their_own(tmp_path: Path) -> None:
    risk = {"name": "terms", "what": "the licence of the rows ends", "owner": "team:a", "review": "2027-01-31"}
    plain = small_recipe(tmp_path, rows=50)
    with_plays = small_recipe(tmp_path, rows=50, plays=[PLAY], risks=[risk])
    assert with_plays.recipe.digest == plain.recipe.digest
    assert with_plays.recipe.plays[0].rule is None and with_plays.recipe.risks[0].review.year == 2027
    with pytest.raises(StillhouseError, match="plays: drift is named twice"):
        small_recipe(tmp_path, rows=50, plays=[PLAY, PLAY])


def test_what_is_measured_and_decides_nothing_is_named() -> None:
    case = BehaviourCase(text="Who ?", label="HUM")
    terms = Terms(
        bar=BarSpec(margin=0.05),
        budget=BudgetSpec(),
        slices=(
            SliceSpec(name="rare", column="c", values=("a",), critical=False),
            SliceSpec(name="main", column="c", values=("b",), critical=True),
        ),
        sensitive=(SensitiveSpec(column="sex"), SensitiveSpec(column="age", gap_at_most=0.1)),
        behaviour=(
            BehaviourSpec(name="names", kind="minimum", cases=(case,), critical=False),
            BehaviourSpec(name="dates", kind="minimum", cases=(case,), critical=True),
        ),
        stress=StressSpec(),
    )
    assert undecided(terms) == [
        "the slice rare is not critical: give it `critical: true`, or leave it out",
        "the behavioural test names is not critical: give it `critical: true`, or leave it out",
        "the sensitive column sex has no limit: give it `gap_at_most`, or leave it out",
        "the stress test has no limit: give it `drop_at_most`, or leave it out",
    ]
    assert undecided(Terms(bar=BarSpec(margin=0.05), budget=BudgetSpec(), stress=StressSpec(drop_at_most=0.1))) == []
